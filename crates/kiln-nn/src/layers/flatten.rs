//! Samples in another shape.

use crate::{Ctx, Describe, Init, Layer, LayerPrecision, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

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
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        let y = match x.shape().rank() {
            2 => return Ok(x),
            1 => x.unsqueeze(1)?,
            _ => x.flatten(1)?,
        };
        Ok(y)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        Shape::new(&[input.elements()])
    }
}

impl Describe for Flatten {
    fn config(&self) -> Option<Json> {
        Some(json!({}))
    }
}

/// (N, …) as (N, shape), of as many elements: a view where the input is contiguous. Keras's `Reshape`.
///
/// `Reshape::new([1, 28, 28])` gives images of gray the axis of their channel.
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
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
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        let y = x.reshape(self.of(x.dims().get(..1).unwrap_or(&[]))?)?;
        Ok(y)
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        let shape = self.of(&[])?;
        if shape.elements() != input.elements() {
            return Err(Error::shape("build", format!("samples {input} cannot be reshaped to {shape}")));
        }
        Ok(shape)
    }
}
