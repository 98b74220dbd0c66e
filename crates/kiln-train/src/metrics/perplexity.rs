//! How many classes a model is undecided between.

use super::{Metric, MetricState, MetricValue, Seen};
use kiln_autograd::Var;
use kiln_nn::losses::laid_over;
use kiln_nn::{Loss, SparseCategoricalCrossentropy};
use kiln_tensor::{Result, Tensor};
use std::borrow::Cow;

/// e to the power of the mean cross-entropy of all targets of an epoch: as if the model chose among so many classes by lot. Targets are labels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Perplexity {
    loss: SparseCategoricalCrossentropy,
}

impl Perplexity {
    /// Of probabilities; of a softmax's, its logits are used.
    pub const fn new() -> Self {
        Perplexity { loss: SparseCategoricalCrossentropy::new() }
    }

    /// Of logits: what a last layer without softmax gives.
    pub const fn from_logits() -> Self {
        Perplexity { loss: SparseCategoricalCrossentropy::from_logits() }
    }

    /// The axis of classes, the batch's being 0; negative ones count from the end.
    #[must_use]
    pub const fn axis(self, axis: isize) -> Self {
        Perplexity { loss: self.loss.axis(axis) }
    }

    /// A label that does not count.
    #[must_use]
    pub const fn ignore_index(self, label: i64) -> Self {
        Perplexity { loss: self.loss.ignore_index(label) }
    }
}

impl Metric for Perplexity {
    fn name(&self) -> Cow<'static, str> {
        "perplexity".into()
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
        let [sum, count] = Seen { mask: mask.as_ref(), ..*seen }.total(each.tensor())?;
        state.add("sum", &sum)?;
        state.add("count", &count)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        let count = state.sum("count")?;
        if count == 0.0 {
            return Ok(MetricValue::Undefined("there were no targets".to_owned()));
        }
        Ok((state.sum("sum")? / count).exp().into())
    }
}
