//! Flatten.

use crate::{Ctx, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape};
use serde_json::{Value, json};

/// (N, …) as (N, product of the rest): a view where the input is contiguous.
#[derive(Module, Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Flatten {
    /// The layer.
    pub fn new() -> Self {
        Flatten
    }
}

impl Layer for Flatten {
    fn forward(&self, x: &Var, _: &Ctx) -> Result<Var> {
        match x.shape().rank() {
            2 => Ok(x.clone()),
            1 => x.unsqueeze(1),
            _ => x.flatten(1),
        }
    }
    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        Shape::new(&[input.elements()])
    }
    fn config(&self) -> Option<Value> {
        Some(json!({}))
    }
}
