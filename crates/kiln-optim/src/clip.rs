//! Gradient clipping.

use crate::check::bound;
use crate::{Optimizer, State};
use kiln_autograd::Gradients;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{DType, Result, Tensor};

/// How gradients are clipped.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Rule {
    Norm(f64),
    Value(f64),
}

/// An optimizer that clips gradients before its step: made by [`Clip`].
#[derive(Debug)]
pub struct Clipped<O> {
    optimizer: O,
    rule: Rule,
}

/// Clipping, of any optimizer: `Adam::new(0.001).clip_norm(1.0)`. Gradients that explode, as those of recurrent networks may,
/// then make a step of bounded length (Pascanu et al. 2013).
///
/// ```
/// use kiln_optim::{Adam, Clip, Optimizer};
/// let optimizer = Adam::new(0.001).clip_norm(1.0);
/// assert_eq!(optimizer.name(), "Adam");
/// ```
pub trait Clip: Optimizer + Sized {
    /// Where the norm of all gradients together, √Σg², is above `max`, all are multiplied by max / (norm + 1e−6): PyTorch's
    /// `clip_grad_norm_`, Keras's `global_clipnorm`.
    fn clip_norm(self, max: f64) -> Clipped<Self> {
        Clipped { optimizer: self, rule: Rule::Norm(max) }
    }

    /// Every number of every gradient is kept within ±`max`: PyTorch's `clip_grad_value_`, Keras's `clipvalue`.
    fn clip_value(self, max: f64) -> Clipped<Self> {
        Clipped { optimizer: self, rule: Rule::Value(max) }
    }
}

impl<O: Optimizer> Clip for O {}

/// √Σg² over all gradients, right for gradients of every type and size: no square overflows or vanishes.
///
/// # Errors
/// A fault of the device that surfaced, out of memory.
pub fn gradient_norm(gradients: &Gradients) -> Result<f64> {
    let norms = gradients.iter().map(|(_, gradient)| norm(gradient)).collect::<Result<Vec<f64>>>()?;
    // Scaled by the largest, as f64 gradients may be beyond the root of what f64 holds.
    let largest = norms.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 || !norms.iter().all(|norm| norm.is_finite()) {
        return Ok(norms.iter().sum());
    }
    Ok(largest * norms.iter().map(|norm| (norm / largest).powi(2)).sum::<f64>().sqrt())
}

/// √Σg² of one gradient.
fn norm(gradient: &Tensor) -> Result<f64> {
    let square_sum = |x: &Tensor| x.mul(x)?.sum_all()?.item();
    // The squares of half types are beyond them; f32 has room for them, and mostly for its own.
    let wide = match gradient.dtype() {
        DType::F16 | DType::BF16 => gradient.to_dtype(DType::F32)?,
        _ => gradient.clone(),
    };
    let (least, most) = if wide.dtype() == DType::F64 { (1e-280, f64::MAX) } else { (1e-20, f32::MAX.into()) };
    let sum = square_sum(&wide)?;
    if (least..=most).contains(&sum) || wide.elements() == 0 {
        return Ok(sum.sqrt());
    }
    let wide = wide.to_dtype(DType::F64)?;
    let largest = wide.abs()?.max(..)?.item()?;
    if largest == 0.0 || !largest.is_finite() {
        return Ok(largest);
    }
    // A power of two, whose products are exact, and which is a normal number itself.
    let exponent = largest.log2().floor().clamp(-1000.0, 1000.0);
    let scale = exponent.exp2();
    Ok(square_sum(&wide.mul_scalar(1.0 / scale)?)?.sqrt() * scale)
}

/// What [`Clip::clip_norm`] makes of gradients; they are given back as they are where their norm is not above `max`.
///
/// # Errors
/// A fault of the device that surfaced, out of memory.
pub fn clip_gradient_norm(mut gradients: Gradients, max: f64) -> Result<Gradients> {
    let norm = gradient_norm(&gradients)?;
    if norm <= max {
        return Ok(gradients);
    }
    // As in PyTorch, a NaN norm gives NaN gradients.
    let factor = max / (norm + 1e-6);
    map(&mut gradients, |mut gradient| gradient.mul_scalar_assign(factor).map(|()| gradient))?;
    Ok(gradients)
}

/// What [`Clip::clip_value`] makes of gradients.
///
/// # Errors
/// Out of memory.
pub fn clip_gradient_value(mut gradients: Gradients, max: f64) -> Result<Gradients> {
    map(&mut gradients, |gradient| gradient.clamp(-max, max))?;
    Ok(gradients)
}

fn map(gradients: &mut Gradients, f: impl Fn(Tensor) -> Result<Tensor>) -> Result<()> {
    let ids: Vec<_> = gradients.iter().map(|(id, _)| id).collect();
    for id in ids {
        if let Some(gradient) = gradients.remove(id) {
            gradients.insert(id, f(gradient)?);
        }
    }
    Ok(())
}

impl<O: Optimizer> Optimizer for Clipped<O> {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        // Only the gradients of this model count.
        let mut own = Gradients::default();
        for (_, parameter) in model.parameters() {
            if let Some(gradient) = gradients.get(parameter.id()) {
                own.insert(parameter.id(), gradient.clone());
            }
        }
        let clipped = match self.rule {
            Rule::Norm(max) => clip_gradient_norm(own, bound("gradient norm to clip at", max)?)?,
            Rule::Value(max) => clip_gradient_value(own, bound("gradient value to clip at", max)?)?,
        };
        self.optimizer.step_if(model, &clipped, apply)
    }
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }
    fn state(&self) -> &State {
        self.optimizer.state()
    }
    fn state_mut(&mut self) -> &mut State {
        self.optimizer.state_mut()
    }
}

impl<O: Optimizer> Stateful for Clipped<O> {
    fn state_dict(&self) -> Result<StateDict> {
        self.optimizer.state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.optimizer.load_state_dict(state)
    }
}
