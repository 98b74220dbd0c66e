//! One step of a sequence.

use crate::{Ctx, Describe, Init, Layer, LayerPrecision, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// Picks one step of sequences: (N, T, …) becomes (N, …). `SelectStep::new(0)` picks the first step, which transformers such as BERT and ViT
/// classify by; `SelectStep::new(-1)` picks the last one.
///
/// ```
/// use kiln_nn::{SelectStep, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(SelectStep::new(-1)).build([10, 4], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [4]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Copy, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct SelectStep {
    #[module(skip)]
    step: isize,
}

impl SelectStep {
    /// Picks the step at this index, from 0. A negative index counts from the end of the tensor, padding included.
    pub fn new(step: isize) -> Self {
        SelectStep { step }
    }

    /// The index from 0 in sequences of so many steps.
    fn place(self, steps: usize) -> Result<usize> {
        let place = if self.step < 0 { steps.checked_add_signed(self.step) } else { usize::try_from(self.step).ok() };
        place.filter(|&place| place < steps).ok_or_else(|| {
            let range = match steps {
                0 => String::new(),
                _ => format!(": use 0 to {}, or -{steps} to -1", steps - 1),
            };
            Error::value("select_step", format!("a sequence of {steps} steps has no step {}{range}", self.step))
        })
    }
}

impl Layer for SelectStep {
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        let &[_, steps, ..] = x.dims() else {
            return Err(Error::shape("select_step", format!("sequences (N, T, …) are expected, got {}", x.shape())));
        };
        let place = self.place(steps)?;
        x.slice(1, place..place + 1)?.squeeze(1)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        let [steps, rest @ ..] = input.dims() else {
            return Err(Error::shape("build", "samples (T, …) are expected, got single numbers"));
        };
        self.place(*steps)?;
        Shape::new(rest)
    }
}
