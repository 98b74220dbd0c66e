//! A layer at each step of a sequence, and the mask of steps that count.

use crate::{Ctx, Init, Layer, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
/// assert_eq!(model.output_shapes()[0].dims(), [10, 64]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct TimeDistributed {
    layer: Box<dyn Layer>,
}

impl TimeDistributed {
    /// The layer at each step.
    pub fn new(layer: impl Layer + 'static) -> Self {
        TimeDistributed { layer: Box::new(layer) }
    }

    pub(crate) fn of(layer: Box<dyn Layer>) -> Self {
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
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (leading, sample) = split(x.shape(), 2)?;
        let flat = x.reshape(joined(&[leading.iter().product()], sample)?)?;
        // Within a step there are no steps that the mask speaks of.
        let mask = ctx.mask();
        ctx.set_mask(None);
        let y = ctx.layer("layer", &*self.layer, &flat)?;
        ctx.set_mask(mask);
        y.reshape(joined(leading, y.dims().get(1..).unwrap_or(&[]))?)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let (steps, sample) = split(input, 1)?;
        let output = init.layer("layer", &mut *self.layer, &Shape::new(sample)?)?;
        joined(steps, &output)
    }

    fn reset_states(&self) {
        self.layer.reset_states();
    }

    fn config(&self) -> Option<Value> {
        let mut inner = match self.layer.config()? {
            Value::Object(settings) => settings,
            _ => return None,
        };
        inner.entry("layer").or_insert_with(|| self.layer.name().into());
        Some(json!({ "inner": inner }))
    }

    fn flops(&self, output: &Shape) -> u64 {
        let Some((&steps, rest)) = output.split_first() else { return 0 };
        Shape::new(rest).map_or(0, |rest| steps as u64 * self.layer.flops(&rest))
    }
}

/// Marks steps all of whose features are `value` as filler, for the recurrent layers that follow: (N, T, features) is handed
/// on as it is (Keras's `Masking`).
#[derive(Module, Clone, Copy, Debug, Serialize, Deserialize)]
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
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        if x.shape().rank() != 3 {
            return Err(Error::shape(
                "masking",
                format!("inputs (batch, steps, features) are expected, got {}", x.shape()),
            ));
        }
        let value = Tensor::full((), self.value, x.dtype(), x.device())?;
        // As numbers: how many features of a step are not the value.
        let others = x.tensor().ne(&value)?.sum(-1)?;
        ctx.set_mask(Some(others.gt(&Tensor::scalar(0i64, x.device())?)?));
        Ok(x.clone())
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        Ok(*input)
    }

    fn config(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}
