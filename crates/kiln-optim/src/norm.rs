//! Clipping by the norm of all gradients together: on the host, or in the memory of their device.

use kiln_autograd::Gradients;
use kiln_tensor::{DType, Result, Tensor};

/// Added to a norm that gradients are divided by, as in PyTorch.
const EPSILON: f64 = 1e-6;

/// What gradients of this norm are multiplied by, that it becomes `max` at most; NaN of a norm that is NaN, as in PyTorch. None where
/// they stay as they are.
pub(crate) fn clip_factor(norm: f64, max: f64) -> Option<f64> {
    if norm <= max { None } else { Some(max / (norm + EPSILON)) }
}

/// The same in the memory of the gradients' device, an f64; the host waits for nothing. None where there are no gradients.
pub(crate) fn clip_factor_there(gradients: &Gradients, max: f64) -> Result<Option<Tensor>> {
    let Some(norm) = norm_there(gradients)? else { return Ok(None) };
    let number = |value: f64| Tensor::scalar(value, norm.device());
    let factor = number(max)?.div(&norm.add_scalar(EPSILON)?)?;
    Tensor::select(&norm.le(&number(max)?)?, &number(1.0)?, &factor).map(Some)
}

/// [`Gradients::norm`] in the device's memory.
pub(crate) fn norm_there(gradients: &Gradients) -> Result<Option<Tensor>> {
    let mut norms = Vec::new();
    for (_, gradient) in gradients.iter().filter(|(_, gradient)| gradient.elements() > 0) {
        let wide = gradient.to_dtype(DType::F64)?;
        // f64 has room for the squares of every other type.
        norms.push(if gradient.dtype() == DType::F64 {
            scaled_norm(&wide.reshape([wide.elements()])?)?
        } else {
            wide.mul(&wide)?.sum_all()?.sqrt()?
        });
    }
    if norms.is_empty() {
        return Ok(None);
    }
    let norms: Vec<&Tensor> = norms.iter().collect();
    scaled_norm(&Tensor::stack(&norms, 0)?).map(Some)
}

/// √Σx², computed of what remains after a division by the largest |x|, unless that is 0 or not finite.
fn scaled_norm(x: &Tensor) -> Result<Tensor> {
    let largest = x.abs()?.max(..)?;
    let number = |value: f64| Tensor::scalar(value, x.device());
    let (zero, end) = (number(0.0)?, number(f64::INFINITY)?);
    let usable = largest.gt(&zero)?.logical_and(&largest.lt(&end)?)?;
    let scale = Tensor::select(&usable, &largest, &number(1.0)?)?;
    let parts = x.div(&scale)?;
    parts.mul(&parts)?.sum_all()?.sqrt()?.mul(&scale)
}
