//! Gradients against finite differences.

use crate::{Var, grad};
use kiln_tensor::{DType, Error, ErrorKind, Result, Tensor};

/// Largest accepted difference, relative to 1 + |gradient|.
const TOLERANCE: f64 = 1e-6;
/// Step of the central difference: the cube root of f64's precision balances truncation against rounding.
const STEP: f64 = 6e-6;

/// Checks the gradient of `f` at `inputs` (f64) against central differences, of a fixed weighted sum of the output, so
/// that every element counts with a weight of its own.
///
/// ```
/// use kiln_autograd::grad_check;
/// use kiln_tensor::{Device, Tensor};
/// let x = Tensor::from_slice(&[0.3f64, -1.2, 2.0], [3], &Device::cpu())?;
/// grad_check(|v| v[0].tanh()?.mul(&v[0]), &[x])?;
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// # Errors
/// The first element whose gradients differ, with both values; an input that is not f64; an error of `f`.
pub fn grad_check(f: impl Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]) -> Result<()> {
    check(&|vars| weighted_sum(&f(vars)?), inputs)
}

/// Checks the gradient of the gradient of `f`: [`grad_check`] of the weighted sum of all its first derivatives.
///
/// # Errors
/// As [`grad_check`].
pub fn grad_grad_check(f: impl Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]) -> Result<()> {
    check(
        &|vars| {
            // Constants would make no graph to differentiate: where f is evaluated for a difference, give it variables.
            let vars: Vec<Var> = vars
                .iter()
                .map(|v| if v.requires_grad() { v.clone() } else { Var::variable(v.tensor().clone()) })
                .collect();
            let output = weighted_sum(&f(&vars)?)?;
            let mut total = output.mul_scalar(0.0)?;
            for (position, slope) in grad(&output, &vars.iter().collect::<Vec<_>>())?.into_iter().enumerate() {
                if let Some(slope) = slope {
                    total = total.add(&weighted_sum(&slope)?.mul_scalar(1.0 + position as f64)?)?;
                }
            }
            Ok(total)
        },
        inputs,
    )
}

/// Σ wᵢ·xᵢ with weights that differ from element to element.
fn weighted_sum(x: &Var) -> Result<Var> {
    let weights: Vec<f64> = (0..x.tensor().elements()).map(|i| 0.5 + ((i * 7 + 3) % 11) as f64 / 11.0).collect();
    let weights = Var::constant(Tensor::from_slice(&weights, x.shape(), x.device())?);
    x.mul(&weights)?.sum_all()
}

fn check(f: &dyn Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]) -> Result<()> {
    if let Some(other) = inputs.iter().find(|t| t.dtype() != DType::F64) {
        return Err(Error::new(
            ErrorKind::DType,
            "grad_check",
            format!("differences need f64, an input is {}: convert it with `to_dtype`", other.dtype()),
        ));
    }
    let vars: Vec<Var> = inputs.iter().map(|t| Var::variable(t.clone())).collect();
    let gradients = f(&vars)?.backward()?;
    for (position, input) in inputs.iter().enumerate() {
        let values = input.to_vec::<f64>()?;
        let analytic = match gradients.of(&vars[position]) {
            Some(gradient) if gradient.shape() == input.shape() => gradient.to_vec::<f64>()?,
            Some(gradient) => {
                return Err(Error::shape(
                    "grad_check",
                    format!("input {position} has shape {}, its gradient {}", input.shape(), gradient.shape()),
                ));
            }
            None => vec![0.0; values.len()],
        };
        for element in 0..values.len() {
            let at = |offset: f64| -> Result<f64> {
                let mut moved = values.clone();
                moved[element] += offset;
                let mut operands: Vec<Var> = inputs.iter().map(Var::from).collect();
                operands[position] = Var::constant(Tensor::from_slice(&moved, input.shape(), input.device())?);
                f(&operands)?.item()
            };
            let step = STEP * (1.0 + values[element].abs());
            let numeric = (at(step)? - at(-step)?) / (2.0 * step);
            let difference = (analytic[element] - numeric).abs();
            if difference.is_nan() || difference > TOLERANCE * (1.0 + numeric.abs()) {
                return Err(Error::value(
                    "grad_check",
                    format!(
                        "element {element} of input {position}: the gradient is {}, differences give {numeric}",
                        analytic[element]
                    ),
                ));
            }
        }
    }
    Ok(())
}
