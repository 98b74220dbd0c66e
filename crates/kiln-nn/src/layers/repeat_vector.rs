//! A vector as a sequence.

use crate::{Ctx, Describe, Init, Layer, LayerPrecision, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// (N, F) as a sequence of `steps` equal steps, (N, steps, F): what a decoder begins with (Keras's `RepeatVector`).
///
/// ```
/// use kiln_nn::{Lstm, RepeatVector, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Lstm::new(16))
///     .push(RepeatVector::new(7))
///     .push(Lstm::new(16).return_sequences(true))
///     .build([10, 4], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[1], [7, 16]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct RepeatVector {
    steps: usize,
}

impl RepeatVector {
    /// So many steps.
    pub fn new(steps: usize) -> Self {
        RepeatVector { steps }
    }

    /// The shape of a sample of this many axes' sizes.
    fn repeated(self, sample: &[usize]) -> Result<Shape> {
        let &[features] = sample else {
            let message =
                format!("samples of one axis, (features,), are expected, got {sample:?}: put Flatten before this layer");
            return Err(Error::shape("repeat_vector", message));
        };
        if self.steps == 0 {
            return Err(Error::value("repeat_vector", "0 steps: at least 1 is needed"));
        }
        Shape::new(&[self.steps, features])
    }
}

impl Layer for RepeatVector {
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        let sample = self.repeated(x.dims().get(1..).unwrap_or(&[]))?;
        let batch = x.dims().first().copied().unwrap_or(1);
        x.unsqueeze(1)?.broadcast_to(Shape::new(&[&[batch], &sample[..]].concat())?)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        self.repeated(input)
    }
}
