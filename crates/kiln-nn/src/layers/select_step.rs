//! One step of a sequence.

use crate::{Ctx, Describe, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// One step of sequences (N, T, …), as (N, …): `SelectStep::new(0)` is the first, where transformers that classify have what they say
/// of the whole, and `SelectStep::new(-1)` the last.
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
    /// The step of this number; negative ones count from the end, and padding at the end is counted too.
    pub fn new(step: isize) -> Self {
        SelectStep { step }
    }

    /// Its place among so many steps.
    fn place(self, steps: usize) -> Result<usize> {
        let place = if self.step < 0 { steps.checked_add_signed(self.step) } else { usize::try_from(self.step).ok() };
        place.filter(|&place| place < steps).ok_or_else(|| {
            Error::value("select_step", format!("step {} of a sequence of {steps} steps: there is none", self.step))
        })
    }
}

impl Layer for SelectStep {
    type Input = Var;
    type Output = Var;

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
