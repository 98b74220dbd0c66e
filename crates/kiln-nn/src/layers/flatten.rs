//! Samples in another shape.

use crate::{Ctx, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
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
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let y = match x.shape().rank() {
            2 => return Ok(x.clone()),
            1 => x.unsqueeze(1)?,
            _ => x.flatten(1)?,
        };
        keep_steps(x, &y, ctx);
        Ok(y)
    }
    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        Shape::new(&[input.elements()])
    }
    fn config(&self) -> Option<Value> {
        Some(json!({}))
    }
}

/// Takes the mask of steps away, unless they are an axis of their own still.
fn keep_steps(x: &Var, y: &Var, ctx: &Ctx) {
    if x.dims().get(1) != y.dims().get(1) {
        ctx.set_mask(None);
    }
}

/// (N, …) as (N, shape), of as many elements: a view where the input is contiguous. Keras's `Reshape`.
///
/// `Reshape::new([1, 28, 28])` gives images of gray the axis of their channel.
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct Reshape {
    #[module(skip)]
    shape: Vec<usize>,
}

impl Reshape {
    /// Samples of this shape, without the batch's axis.
    pub fn new(shape: impl AsRef<[usize]>) -> Self {
        Reshape { shape: shape.as_ref().to_vec() }
    }

    fn of(&self, leading: &[usize]) -> Result<Shape> {
        Shape::new(&[leading, &self.shape].concat())
    }
}

impl Layer for Reshape {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let y = x.reshape(self.of(x.dims().get(..1).unwrap_or(&[]))?)?;
        keep_steps(x, &y, ctx);
        Ok(y)
    }
    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        let shape = self.of(&[])?;
        if shape.elements() != input.elements() {
            return Err(Error::shape("build", format!("samples {input} cannot be reshaped to {shape}")));
        }
        Ok(shape)
    }
    fn config(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}
