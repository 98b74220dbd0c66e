//! A layer at each step of a sequence, and the mask of steps that count.

use crate::{AnyLayer, Ctx, Describe, Init, Layer, LayerPrecision, Module, Sequence, Shapes};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// A layer applied to each step of a sequence by itself, with the same weights: (N, T, …) is taken as N·T samples.
///
/// Layers that only look at the last axis (`Dense`) need no such wrapping.
///
/// ```
/// use kiln_nn::{Dense, Flatten, Lstm, Sequential, TimeDistributed};
/// use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(TimeDistributed::new(Flatten::new()))
///     .push(Lstm::new(16))
///     .build([10, 8, 8], &Device::cpu(), 1)?; // 10 frames of 8 × 8
/// assert_eq!(model.output_shapes()[0], [10, 64]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct TimeDistributed {
    layer: Box<dyn AnyLayer>,
}

impl TimeDistributed {
    /// The layer at each step.
    pub fn new(layer: impl AnyLayer + 'static) -> Self {
        TimeDistributed { layer: Box::new(layer) }
    }

    pub(crate) fn of(layer: Box<dyn AnyLayer>) -> Self {
        TimeDistributed { layer }
    }
}

/// The first two axes of a batch, or the first of a sample, and the rest.
fn split(shape: &Shape, axes: usize) -> Result<(&[usize], &[usize])> {
    if shape.rank() < axes {
        return Err(Error::shape(
            "time_distributed",
            format!("inputs (batch, steps, …) are expected, those of shape {shape} have no axis of steps"),
        ));
    }
    Ok(shape.split_at(axes))
}

fn joined(first: &[usize], rest: &[usize]) -> Result<Shape> {
    Shape::new(&[first, rest].concat())
}

impl Layer for TimeDistributed {
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    /// Within a step there are no steps that a mask speaks of: the layer is given none.
    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let (leading, sample) = split(x.shape(), 2)?;
        let flat = x.reshape(joined(&[leading.iter().product()], sample)?)?;
        let y = ctx.layer("layer", &*self.layer, flat)?.var()?;
        y.reshape(joined(leading, y.dims().get(1..).unwrap_or(&[]))?)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let (steps, sample) = split(input, 1)?;
        let output = init.layer("layer", &mut *self.layer, &Shapes::One(Shape::new(sample)?))?;
        joined(steps, output.one()?)
    }

    fn reset_states(&self) {
        self.layer.forget();
    }
}

impl Describe for TimeDistributed {
    fn config(&self) -> Option<Json> {
        let mut inner = match self.layer.config()? {
            Json::Object(settings) => settings,
            _ => return None,
        };
        inner.entry("layer").or_insert_with(|| self.layer.name().into());
        Some(json!({ "inner": inner }))
    }
    fn flops(&self, output: &Shapes) -> u64 {
        let Some((&steps, rest)) = output.one().ok().and_then(|output| output.split_first()) else { return 0 };
        Shape::new(rest).map_or(0, |rest| steps as u64 * self.layer.flops(&rest.into()))
    }
}

/// Marks steps all of whose features are `value` as filler, for the recurrent layers that follow: (N, T, features) is handed
/// on as it is (Keras's `Masking`).
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct Masking {
    value: f64,
}

impl Masking {
    /// Steps of this value alone count for nothing.
    pub fn new(value: f64) -> Self {
        Masking { value }
    }
}

impl Layer for Masking {
    type Input = Var;
    type Output = Sequence;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Sequence> {
        if x.shape().rank() != 3 {
            return Err(Error::shape(
                "masking",
                format!("inputs (batch, steps, features) are expected, got {}", x.shape()),
            ));
        }
        let value = Tensor::full((), self.value, x.dtype(), x.device())?;
        // As numbers: how many features of a step are not the value.
        let others = x.tensor().ne(&value)?.sum(-1)?;
        let mask = others.gt(&Tensor::scalar(0i64, x.device())?)?;
        Ok(Sequence::new(x, mask))
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        Ok(*input)
    }
}
