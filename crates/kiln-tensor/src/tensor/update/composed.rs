//! Optimizer steps by operations on whole tensors; formulas in [`kiln_math::update`].

use super::{UpdateRule, UpdateTensors};
use crate::{Result, Tensor};
use kiln_math::update::{Adam, AdamSettings, Sgd, SgdSettings};

/// 0 where |x| < limit.
fn flush(x: &Tensor, limit: f64) -> Result<Tensor> {
    let number = |value: f64| Tensor::full((), value, x.dtype(), x.device());
    Tensor::select(&x.abs()?.lt(&number(limit)?)?, &number(0.0)?, x)
}

/// x · scale + y
fn scaled_sum(x: &Tensor, scale: f64, y: &Tensor) -> Result<Tensor> {
    x.mul_scalar(scale)?.add(y)
}

/// (p, v) after a step.
fn sgd(p: &Tensor, g: &Tensor, v: Option<&Tensor>, h: &Sgd<f64>) -> Result<[Tensor; 2]> {
    let g = flush(&scaled_sum(p, h.weight_decay, g)?, h.least)?;
    let shared = g.mul_scalar(h.gradient_share)?;
    let v = match v {
        Some(v) => flush(&scaled_sum(v, h.momentum, &shared)?, h.least)?,
        None => shared,
    };
    let step = if h.nesterov { scaled_sum(&v, h.momentum, &g)? } else { v.clone() };
    Ok([scaled_sum(&step, -h.learning_rate, p)?, v])
}

/// (p, m, v) after a step.
fn adam(p: &Tensor, g: &Tensor, m: &Tensor, v: &Tensor, h: &Adam<f64>) -> Result<[Tensor; 3]> {
    let number = |value: f64| Tensor::full((), value, p.dtype(), p.device());
    let g = flush(&scaled_sum(p, h.weight_decay, g)?, h.least_first)?;
    let m = flush(&scaled_sum(m, h.beta1, &g.mul_scalar(h.rest1)?)?, h.least_first)?;
    let squared = flush(&g, h.least_squared)?;
    let v = scaled_sum(v, h.beta2, &squared.mul_scalar(h.rest2)?.mul(&squared)?)?;
    let v = Tensor::select(&v.lt(&number(h.least_second)?)?, &number(0.0)?, &v)?;
    let denominator = v.sqrt()?.affine(h.inverse_root, h.epsilon)?.maximum(&number(h.least_denominator)?)?;
    let p = scaled_sum(&m.div(&denominator)?, -h.step_size, &p.mul_scalar(h.keep)?)?;
    Ok([p, m, v])
}

/// One step of the rule over all tensors, in their own memory. `step` is read on the host.
pub(super) fn update(rule: UpdateRule, step: &Tensor, tensors: &mut [UpdateTensors<'_>]) -> Result<()> {
    let step = step.to_vec::<f64>()?;
    for UpdateTensors { parameter, gradient, states } in tensors {
        let smallest = parameter.dtype().smallest_normal();
        match (rule, states) {
            (UpdateRule::Sgd { momentum, dampening, weight_decay, nesterov }, [velocity, _]) => {
                let settings = SgdSettings { momentum, dampening, weight_decay, nesterov };
                let [p, v] = sgd(parameter, gradient, velocity.as_deref(), &settings.at(step[0], step[1], smallest))?;
                parameter.copy_from(&p)?;
                if let Some(velocity) = velocity {
                    velocity.copy_from(&v)?;
                }
            }
            (UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled }, [Some(first), Some(second)]) => {
                let settings = AdamSettings { beta1, beta2, epsilon, weight_decay, decoupled };
                let h = settings.at(step[0], step[1], smallest);
                let [p, m, v] = adam(parameter, gradient, first, second, &h)?;
                parameter.copy_from(&p)?;
                first.copy_from(&m)?;
                second.copy_from(&v)?;
            }
            // The number of states was checked.
            (UpdateRule::Adam { .. }, _) => {}
        }
    }
    Ok(())
}
