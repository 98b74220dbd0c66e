//! A loss in a box is a loss.

use super::{Counting, Loss, Reduction};
use crate::{Projection, Value};
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape, Tensor};

impl<L: Loss + ?Sized> Loss for Box<L> {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        (**self).each(prediction, target)
    }
    fn counts(&self, target: &Tensor) -> Result<Option<Tensor>> {
        (**self).counts(target)
    }
    fn takes_mask(&self, mask: &Tensor, prediction: &Shape, target: &Shape) -> Result<bool> {
        (**self).takes_mask(mask, prediction, target)
    }
    fn reduction(&self) -> Reduction {
        (**self).reduction()
    }
    fn between(&self, prediction: &Var, target: &Var) -> Result<Var> {
        (**self).between(prediction, target)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        (**self).class_axis(prediction)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        (**self).labels(target)
    }
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        (**self).per_sample(prediction, target)
    }
    fn forward(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        (**self).forward(prediction, target)
    }
    fn weighted(&self, prediction: &Var, target: &Tensor, weights: &Tensor) -> Result<Var> {
        (**self).weighted(prediction, target, weights)
    }
    fn counted(&self, prediction: &Var, target: &Tensor, counting: Counting<'_>) -> Result<Var> {
        (**self).counted(prediction, target, counting)
    }
    fn of_output(&self, output: &Value, target: &Tensor, counting: Counting<'_>) -> Result<Var> {
        (**self).of_output(output, target, counting)
    }
    fn of_projection(
        &self,
        output: &Projection,
        target: &Tensor,
        counting: Counting<'_>,
        reduction: Reduction,
    ) -> Result<Option<Var>> {
        (**self).of_projection(output, target, counting, reduction)
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
}
