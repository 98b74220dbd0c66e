//! Loss and metrics of an epoch so far.

use super::running::Running;
use crate::callbacks::SoFar;
use crate::{Count, Evaluation, Measured, Metric, Outcome, Prediction};
use kiln_datasets::Batch;
use kiln_nn::StateDict;
use kiln_tensor::{Error, Result};
use std::borrow::Cow;

/// Sums of the loss and of the metrics, by name.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    loss: Running,
    metrics: Vec<(Cow<'static, str>, Running)>,
}

impl Tally {
    pub(crate) fn new(metrics: &[Box<dyn Metric>]) -> Self {
        let mut tally = Tally::default();
        tally.expect(metrics);
        tally
    }

    /// Sums of these metrics: those that there are go on, others begin.
    pub(crate) fn expect(&mut self, metrics: &[Box<dyn Metric>]) {
        let mut known = std::mem::take(&mut self.metrics);
        self.metrics = metrics
            .iter()
            .map(|metric| {
                let label = metric.label();
                let at = known.iter().position(|(name, _)| *name == label);
                let sum = at.map(|at| known.swap_remove(at).1).unwrap_or_default();
                (label, sum)
            })
            .collect();
    }

    /// Gives the batch's loss where the host can see it without waiting for the device.
    pub(crate) fn add(&mut self, metrics: &[Box<dyn Metric>], batch: &Batch, outcome: &Outcome) -> Result<Option<f64>> {
        let mask = outcome.mask.as_deref();
        let count = mask.map_or(Ok(Count::Known(batch.len() as f64)), Count::of)?;
        let loss = self.loss.add_mean(outcome.loss.tensor(), &count)?;
        if outcome.predictions.is_empty() {
            return Ok(loss);
        }
        for (metric, (_, running)) in metrics.iter().zip(&mut self.metrics) {
            let (prediction, targets) = measured(&**metric, outcome, batch)?;
            let mask = prediction.mask.as_deref();
            let Measured { sum, count } = metric.measure(prediction.values.tensor(), targets, mask)?;
            running.add_sum(&sum, &count)?;
        }
        Ok(loss)
    }

    /// Means of the loss and the first metric, where the host has their sums.
    pub(crate) fn so_far(&self) -> SoFar {
        let metric = self.metrics.first().and_then(|(name, sum)| match name {
            Cow::Borrowed(name) => Some((*name, sum.host_mean()?)),
            Cow::Owned(_) => None,
        });
        (self.loss.host_mean(), metric)
    }

    /// The means. Waits for the device.
    pub(crate) fn finish(&self) -> Result<Evaluation> {
        let named = self.metrics.iter().map(|(name, sum)| Ok((name.clone(), sum.mean()?)));
        Ok(Evaluation { loss: self.loss.mean()?, metrics: named.collect::<Result<_>>()? })
    }

    /// Adds `PREFIX.NAME.…` of the loss and each metric.
    pub(crate) fn save(&self, prefix: &str, state: &mut StateDict) -> Result<()> {
        self.loss.save(&format!("{prefix}.loss"), state)?;
        let mut metrics = self.metrics.iter();
        metrics.try_for_each(|(name, sum)| sum.save(&format!("{prefix}.metric.{name}"), state))
    }

    /// What [`Tally::save`] wrote; `name` is what follows the prefix. Gives whether it was such an entry.
    pub(crate) fn load(&mut self, name: &str, value: &kiln_tensor::Tensor) -> Result<bool> {
        let Some((of, part)) = name.rsplit_once('.') else { return Ok(false) };
        let running = match of.strip_prefix("metric.") {
            None if of == "loss" => &mut self.loss,
            None => return Ok(false),
            Some(metric) => {
                let at = self.metrics.iter().position(|(known, _)| known == metric).unwrap_or_else(|| {
                    self.metrics.push((Cow::Owned(metric.to_owned()), Running::default()));
                    self.metrics.len() - 1
                });
                &mut self.metrics[at].1
            }
        };
        running.load(part, value)
    }
}

/// The output that a metric is of, with its targets.
fn measured<'b>(
    metric: &dyn Metric,
    outcome: &'b Outcome,
    batch: &'b Batch,
) -> Result<(&'b Prediction, &'b kiln_tensor::Tensor)> {
    let mut pairs = outcome.predictions.iter().zip(batch.targets.iter());
    let found = match metric.output() {
        None => pairs.next(),
        Some(output) => pairs.find(|(prediction, _)| prediction.output == output),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = outcome.predictions.iter().map(|prediction| prediction.output.as_str()).collect();
        let output = metric.output().unwrap_or("the first");
        let message =
            format!("{} of the output `{output}`, but the model's outputs are {}", metric.name(), names.join(", "));
        Error::value("metric", message)
    })
}
