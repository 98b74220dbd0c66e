//! A learned step at the beginning of a sequence.

use super::scale_shift::already_built;
use super::weights::unbuilt;
use crate::{Ctx, Describe, Fans, Init, Initializer, Layer, Mask, Module, Param, Sequence};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Sequences (N, T, F) with one step more at the beginning, (N, 1 + T, F): a vector that is learned, the same for all samples. A
/// vision transformer reads its classes at this step (Dosovitskiy et al. 2020), which [`SelectStep`](crate::SelectStep) takes out. Of a mask, the new step counts.
///
/// The vector `weight` (F) begins normal with a standard deviation of 0.02.
///
/// ```
/// use kiln_nn::{ClassToken, Dense, SelectStep, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(ClassToken::new())
///     .push(Dense::new(8)) // in its place the layers that let steps see each other
///     .push(SelectStep::new(0))
///     .build([64, 16], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [65, 16]);
/// assert_eq!(model.output_shapes()[2], [8]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Default, Serialize, Deserialize)]
#[describe(settings)]
pub struct ClassToken {
    #[serde(skip)]
    weight: Option<Param>,
}

impl ClassToken {
    /// To be built for its input.
    pub fn new() -> Self {
        ClassToken::default()
    }

    /// The vector (F), once built.
    pub fn weight(&self) -> Option<&Param> {
        self.weight.as_ref()
    }
}

impl Layer for ClassToken {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, Sequence { values: x, mask }: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let weight = self.weight.as_ref().ok_or_else(|| unbuilt("Sequential::build"))?;
        let (&[samples, _, features], [size]) = (x.dims(), weight.value().dims()) else {
            return Err(Error::shape("class_token", format!("sequences (N, T, F) are expected, got {}", x.shape())));
        };
        if features != *size {
            let message = format!("steps of {size} features are expected, got {}", x.shape());
            return Err(Error::shape("class_token", message));
        }
        if mask.as_ref().is_some_and(|mask| mask.documents().is_some()) {
            let message = "a class token stands for one document: give it one in each row instead of packed documents";
            return Err(Error::value("class_token", message));
        }
        let values = Var::concat(&[&weight.var(ctx).broadcast_to([samples, 1, features])?, &x], 1)?;
        // The token counts.
        let counts = |mask: Mask| {
            let token = Tensor::ones([samples, 1], mask.dtype(), mask.device())?;
            Tensor::concat(&[&token, &mask], 1).map(Mask::from)
        };
        Ok(Sequence { values, mask: mask.map(counts).transpose()? })
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let &[steps, features] = input.dims() else {
            let message = format!("samples (T, F) are expected, steps and their features, got {input}");
            return Err(Error::shape("build", message));
        };
        match &self.weight {
            Some(weight) if weight.value().dims() == [features] => {}
            Some(weight) => return Err(already_built(weight.value().shape(), input)),
            None => {
                let start = Initializer::Normal { mean: 0.0, std: 0.02 };
                self.weight = Some(init.param("weight", &[features], Fans { input: 1, output: 1 }, start)?);
            }
        }
        Shape::new(&[steps + 1, features])
    }
}
