//! Perplexity.

use super::{Metric, MetricState, MetricValue, Seen};
use kiln_autograd::Var;
use kiln_nn::losses::laid_over;
use kiln_nn::{Loss, SparseCategoricalCrossentropy};
use kiln_tensor::{Result, Shape, Tensor};
use std::borrow::Cow;

/// Perplexity: e to the power of the mean cross-entropy of all targets of an epoch. A model that guesses among k
/// classes has k. Targets are labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perplexity {
    loss: SparseCategoricalCrossentropy,
}

impl Perplexity {
    /// Predictions are probabilities; if they come from a softmax, its logits are used.
    pub const fn new() -> Self {
        Perplexity { loss: SparseCategoricalCrossentropy::new() }
    }

    /// Predictions are logits, the output of a last layer without softmax.
    pub const fn from_logits() -> Self {
        Perplexity { loss: SparseCategoricalCrossentropy::from_logits() }
    }

    /// The axis of classes; the batch is axis 0, negative ones count from the end.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        Perplexity { loss: self.loss.axis(axis) }
    }

    /// A label that is ignored.
    #[must_use]
    pub const fn ignore_index(self, label: i64) -> Self {
        Perplexity { loss: self.loss.ignore_index(label) }
    }
}

impl Metric for Perplexity {
    fn name(&self) -> Cow<'static, str> {
        "perplexity".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(false)
    }
    fn takes_steps(&self) -> bool {
        // With classes along the last axis, each step has a loss of its own.
        Shape::new(&[1; 3]).and_then(|shape| self.loss.class_axis(&shape)).is_ok_and(|axis| axis == Some(2))
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let mut mask = self.loss.counts(seen.targets)?;
        if let Some(given) = seen.mask.map(|mask| laid_over(mask, seen.targets.shape())).transpose()?.flatten() {
            mask = Some(mask.map_or_else(|| Ok(given.clone()), |own| own.logical_and(&given))?);
        }
        // Labels that do not count may be none.
        let targets = match &mask {
            Some(mask) => Tensor::select(mask, seen.targets, &Tensor::zeros((), seen.targets.dtype(), mask.device())?)?,
            None => seen.targets.clone(),
        };
        let each = self.loss.each(&seen.output.detach(), &Var::from(&targets))?;
        state.add_total(Seen { mask: mask.as_ref(), ..*seen }.total(each.tensor())?)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        Ok(state.mean_of_total()?.map_or_else(MetricValue::no_targets, |mean| mean.exp().into()))
    }
}
