//! Derived operations: values by hand or by a naive loop, gradients of both orders; a file for each family.

mod einsum;
mod elementwise;
mod products;
mod shape;

use kiln_autograd::{Var, grad_check, grad_grad_check};
use kiln_tensor::{Device, IntoShape, Result, Tensor};

/// Numbers between −1.05 and 1.11, without equal neighbors.
fn values(shape: impl IntoShape, seed: usize) -> Tensor {
    let shape = shape.into_shape().unwrap();
    let data: Vec<f64> = (0..shape.elements()).map(|i| ((i * 37 + seed * 11 + 5) % 29) as f64 / 13.0 - 1.05).collect();
    Tensor::from_slice(&data, shape, &Device::cpu()).unwrap()
}

/// Checks the gradients of first and second order of f², whose second derivative is not 0 everywhere.
#[track_caller]
fn gradients(name: &str, f: impl Fn(&[Var]) -> Result<Var>, inputs: &[Tensor]) {
    let squared = |v: &[Var]| {
        let y = f(v)?;
        y.mul(&y)
    };
    grad_check(squared, inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    grad_grad_check(squared, inputs).unwrap_or_else(|e| panic!("{name}, second order: {e}"));
}
