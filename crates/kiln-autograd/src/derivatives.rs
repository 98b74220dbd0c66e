//! Products with Jacobians and Hessians, and these matrices themselves.

use crate::Var;
use crate::backward::{gradients, needing, seed_of};
use kiln_tensor::{Error, Result, Shape, Tensor};
use std::borrow::Borrow;

/// uᵀ·J: the gradients of Σ u·output with respect to each of `inputs` (leaves or intermediate Vars), of a u in the output's shape. It
/// costs a backward pass. Zeros for an input that the output does not depend on.
///
/// # Errors
/// A `cotangent` of another shape or dtype than the output; an input that needs no gradient.
pub fn vjp(output: &Var, inputs: &[impl Borrow<Var>], cotangent: &Tensor) -> Result<Vec<Tensor>> {
    expect("vjp", "the cotangent", cotangent, "the output", output)?;
    let inputs = needing("vjp", inputs)?;
    or_zeros(gradients(output.clone(), Var::constant(cotangent.clone()), &inputs, false)?, &inputs)
}

/// J·t: how the output changes where `inputs` change in the direction of `tangents`, one for each input in its shape. The result has the
/// output's shape.
///
/// It is the gradient of uᵀ·J·t with respect to u, so it costs two backward passes, and the operations must be differentiable
/// twice.
///
/// ```
/// use kiln_autograd::{Var, jvp, vjp};
/// use kiln_tensor::{Device, Result, Tensor};
/// # fn main() -> Result<()> {
/// # let cpu = Device::cpu();
/// let x = Var::variable(Tensor::from_slice(&[1.0f64, 2.0], [2], &cpu)?);
/// let y = x.square()?; // J is diagonal: 2x
/// let along = Tensor::from_slice(&[1.0f64, 0.5], [2], &cpu)?;
/// assert_eq!(jvp(&y, &[&x], &[&along])?.to_f64_vec()?, [2.0, 2.0]);
/// assert_eq!(vjp(&y, &[&x], &along)?[0].to_f64_vec()?, [2.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As many tangents as inputs, in their shapes and dtypes, are expected; an input that needs no gradient.
pub fn jvp(output: &Var, inputs: &[impl Borrow<Var>], tangents: &[impl Borrow<Tensor>]) -> Result<Tensor> {
    let inputs = needing("jvp", inputs)?;
    expect_all("jvp", "tangent", &inputs, tangents)?;
    let direction = Var::variable(zeros(output)?);
    let slopes = gradients(output.clone(), direction.clone(), &inputs, true)?;
    match dot(slopes, tangents)? {
        Some(along) => Ok(slope(along, &[&direction])?.remove(0)),
        None => zeros(output),
    }
}

/// H·v: the product of the Hessian of `loss`, one number, and `vectors`, one for each of `inputs` in its shape. Zeros for an input on
/// which no gradient depends.
///
/// It costs a backward pass and one of that, and the Hessian is never made. Over a model's parameters:
/// `hvp(&loss, &model.leaves(), &vectors)`.
///
/// ```
/// use kiln_autograd::{Var, hvp};
/// use kiln_tensor::{Device, Result, Tensor};
/// # fn main() -> Result<()> {
/// # let cpu = Device::cpu();
/// let x = Var::variable(Tensor::from_slice(&[1.0f64, 2.0], [2], &cpu)?);
/// let loss = x.mul(&x)?.mul(&x)?.sum_all()?; // H is diagonal: 6x
/// let v = Tensor::from_slice(&[1.0f64, -1.0], [2], &cpu)?;
/// assert_eq!(hvp(&loss, &[&x], &[&v])?[0].to_f64_vec()?, [6.0, -12.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A loss of more than one element; as many vectors as inputs, in their shapes and dtypes, are expected; an input that needs no
/// gradient.
pub fn hvp(loss: &Var, inputs: &[impl Borrow<Var>], vectors: &[impl Borrow<Tensor>]) -> Result<Vec<Tensor>> {
    let inputs = needing("hvp", inputs)?;
    expect_all("hvp", "vector", &inputs, vectors)?;
    let slopes = gradients(loss.clone(), seed_of("hvp", loss)?, &inputs, true)?;
    match dot(slopes, vectors)? {
        Some(along) => slope(along, &inputs),
        None => inputs.iter().map(|input| zeros(input)).collect(),
    }
}

/// The Jacobians of the output with respect to each of `inputs`: (the output's axes…, the input's axes…). A backward pass for each
/// element of the output, so for small ones.
///
/// # Errors
/// An input that needs no gradient; more than 6 axes together.
pub fn jacobian(output: &Var, inputs: &[impl Borrow<Var>]) -> Result<Vec<Tensor>> {
    rows("jacobian", output, &needing("jacobian", inputs)?)
}

/// The Hessian of `loss`, one number, in blocks: entry \[i\]\[j\] holds the second derivatives with respect to inputs i and j, (i's axes…,
/// j's axes…). A backward pass for each element of the inputs, so for small ones; [`hvp`] multiplies by the Hessian without making it.
///
/// # Errors
/// A loss of more than one element; an input that needs no gradient; more than 6 axes together.
pub fn hessian(loss: &Var, inputs: &[impl Borrow<Var>]) -> Result<Vec<Vec<Tensor>>> {
    let inputs = needing("hessian", inputs)?;
    let slopes = gradients(loss.clone(), seed_of("hessian", loss)?, &inputs, true)?;
    let slopes = slopes.into_iter().zip(&inputs);
    let block = |(slope, input): (Option<Var>, &&Var)| {
        let slope = slope.map_or_else(|| zeros(input).map(Var::constant), Ok)?;
        rows("hessian", &slope, &inputs)
    };
    slopes.map(block).collect()
}

/// The gradient of each element of `output`, one after the other.
fn rows(operation: &'static str, output: &Var, inputs: &[&Var]) -> Result<Vec<Tensor>> {
    let joined = |input: &Var| {
        let dims = [output.dims(), input.dims()].concat();
        Shape::new(&dims).map_err(|error| {
            let (output, input) = (output.shape(), input.shape());
            let message = format!("of {output} and {input} together: {}; reshape one of them first", error.message());
            Error::new(error.kind(), operation, message)
        })
    };
    let shapes = inputs.iter().map(|input| joined(input)).collect::<Result<Vec<_>>>()?;
    let mut found: Vec<Vec<Tensor>> = vec![Vec::new(); inputs.len()];
    let flat = zeros(output)?.reshape([output.tensor().elements()])?;
    for at in 0..flat.elements() {
        let mut seed = flat.copied()?;
        seed.slice_assign(0, at..at + 1, &Tensor::ones([1], flat.dtype(), flat.device())?)?;
        let seed = Var::constant(seed.reshape(*output.shape())?);
        let slopes = or_zeros(gradients(output.clone(), seed, inputs, false)?, inputs)?;
        found.iter_mut().zip(slopes).for_each(|(rows, slope)| rows.push(slope));
    }
    let stacked = found.into_iter().zip(shapes).map(|(rows, shape)| match rows.is_empty() {
        true => Tensor::zeros(shape, output.dtype(), output.device()),
        false => Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0)?.reshape(shape),
    });
    stacked.collect()
}

/// Σ slope·vector over all that there are; none where none depends on anything.
fn dot(slopes: Vec<Option<Var>>, vectors: &[impl Borrow<Tensor>]) -> Result<Option<Var>> {
    let mut sum: Option<Var> = None;
    for (slope, vector) in slopes.into_iter().zip(vectors) {
        let Some(slope) = slope.filter(Var::requires_grad) else { continue };
        let part = slope.mul(&Var::constant(vector.borrow().clone()))?.sum_all()?;
        sum = Some(match sum {
            Some(sum) => sum.add(&part)?,
            None => part,
        });
    }
    Ok(sum)
}

/// The gradients of one number, which are not differentiated further.
fn slope(number: Var, inputs: &[&Var]) -> Result<Vec<Tensor>> {
    let seed = seed_of("backward", &number)?;
    or_zeros(gradients(number, seed, inputs, false)?, inputs)
}

fn or_zeros(found: Vec<Option<Var>>, inputs: &[&Var]) -> Result<Vec<Tensor>> {
    let found = found.into_iter().zip(inputs);
    found.map(|(slope, input)| slope.map_or_else(|| zeros(input), |slope| Ok(slope.into_tensor()))).collect()
}

fn zeros(like: &Var) -> Result<Tensor> {
    Tensor::zeros(like.shape(), like.dtype(), like.device())
}

fn expect(operation: &'static str, what: &str, given: &Tensor, of: &str, var: &Var) -> Result<()> {
    if given.shape() == var.shape() && given.dtype() == var.dtype() {
        return Ok(());
    }
    let (dtype, shape) = (given.dtype(), given.shape());
    let message = format!("{what} is {dtype} {shape}, {of} {} {}: they must be alike", var.dtype(), var.shape());
    Err(Error::shape(operation, message))
}

fn expect_all(operation: &'static str, what: &str, inputs: &[&Var], given: &[impl Borrow<Tensor>]) -> Result<()> {
    if inputs.len() != given.len() {
        let message = format!("{} {what}s for {} inputs: one for each is needed", given.len(), inputs.len());
        return Err(Error::value(operation, message));
    }
    let mut pairs = given.iter().zip(inputs).enumerate();
    pairs.try_for_each(|(at, (given, input))| {
        expect(operation, &format!("{what} {at}"), given.borrow(), "its input", input)
    })
}
