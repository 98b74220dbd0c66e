//! Losses that wrap another one.

use super::{Counting, Loss, Reduction, computed_in};
use crate::Projection;
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Shape, Tensor};
use std::sync::Arc;

/// The sum of a loss over a batch instead of the mean (`reduction="sum"` of Keras and PyTorch).
///
/// ```
/// use kiln_nn::{Loss, MeanSquaredError, Summed};
/// use kiln_tensor::{Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let (p, t) = (Tensor::from_slice(&[1.0f32, 2.0], [2], &cpu)?, Tensor::from_slice(&[0.0f32, 0.0], [2], &cpu)?);
/// assert_eq!(Summed(MeanSquaredError::new()).forward(&p.into(), &t)?.item()?, 5.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Summed<L>(pub L);

/// A loss with class weights: each target's loss is multiplied by the weight of its class (`weight` of PyTorch's
/// `CrossEntropyLoss` and `NLLLoss`). The mean is divided by the number of targets, as everywhere in Kiln; PyTorch
/// divides by the sum of their weights.
///
/// The weights are used in evaluations too; `class_weight` of `fit` is for training only.
#[derive(Clone, Debug)]
pub struct ClassWeighted<L> {
    loss: L,
    weights: Arc<[f64]>,
}

impl<L: Loss> ClassWeighted<L> {
    /// Of a weight for each class, 0 or more. Others are an error when the loss is computed.
    pub fn new(loss: L, weights: &[f64]) -> Self {
        ClassWeighted { loss, weights: weights.into() }
    }

    /// The weight of each target, (count,).
    fn of(&self, target: &Tensor) -> Result<Tensor> {
        let (name, classes) = (self.loss.name(), self.weights.len());
        if let Some(wrong) = self.weights.iter().find(|weight| !(0.0..f64::INFINITY).contains(*weight)) {
            return Err(Error::value(name, format!("a class weight of 0 or more and finite is expected, got {wrong}")));
        }
        let mut labels = self.loss.labels(target)?;
        if let Some(counts) = self.loss.counts(target)? {
            labels = Tensor::select(&counts, &labels, &Tensor::zeros((), DType::I64, labels.device())?)?;
        }
        let labels = labels.reshape([labels.elements()])?;
        if labels.device().backend().is_host()
            && let Some(label) = labels.to_vec::<i64>()?.iter().find(|&&label| !(0..classes as i64).contains(&label))
        {
            return Err(Error::value(name, format!("a target is of class {label}, but there are {classes} class weights")));
        }
        Tensor::from_slice(&self.weights, [classes], target.device())?.index_select(0, &labels)
    }
}

impl<L: Loss> Loss for ClassWeighted<L> {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        let each = self.loss.each(prediction, target)?;
        let weights = self.of(target.tensor())?.to_dtype(computed_in(each.dtype()))?;
        if weights.elements() != each.shape().elements() {
            let message = format!("{} classes for losses {}: one for each is needed", weights.elements(), each.shape());
            return Err(Error::shape(self.name(), message));
        }
        each.mul(&Var::constant(weights.reshape(*each.shape())?))
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.loss.class_axis(prediction)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        self.loss.labels(target)
    }
    fn counts(&self, target: &Tensor) -> Result<Option<Tensor>> {
        self.loss.counts(target)
    }
    fn takes_mask(&self, mask: &Tensor, prediction: &Shape, target: &Shape) -> Result<bool> {
        self.loss.takes_mask(mask, prediction, target)
    }
    fn reduction(&self) -> Reduction {
        self.loss.reduction()
    }
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: Loss> Loss for Summed<L> {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        self.0.each(prediction, target)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.0.class_axis(prediction)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        self.0.labels(target)
    }
    fn counts(&self, target: &Tensor) -> Result<Option<Tensor>> {
        self.0.counts(target)
    }
    fn takes_mask(&self, mask: &Tensor, prediction: &Shape, target: &Shape) -> Result<bool> {
        self.0.takes_mask(mask, prediction, target)
    }
    fn of_projection(
        &self,
        output: &Projection,
        target: &Tensor,
        counting: Counting<'_>,
        reduction: Reduction,
    ) -> Result<Option<Var>> {
        self.0.of_projection(output, target, counting, reduction)
    }
    fn reduction(&self) -> Reduction {
        Reduction::Sum
    }
    fn name(&self) -> &'static str {
        self.0.name()
    }
}
