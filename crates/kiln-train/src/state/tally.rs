//! Loss and metrics of an epoch so far.

use super::running::Running;
use crate::callbacks::SoFar;
use crate::{Count, Evaluation, Metric, MetricState, MetricValue, Objective, Outcome, Prediction, Seen};
use kiln_datasets::Batch;
use kiln_nn::losses::aligned;
use kiln_nn::{StateDict, Value};
use kiln_tensor::profile::{self, Phase};
use kiln_tensor::{Error, Result, Tensor};
use std::borrow::Cow;

/// Sums of the loss, of the losses of several outputs, and of the metrics, by name.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    loss: Running,
    outputs: Vec<(String, Running)>,
    metrics: Vec<(Cow<'static, str>, MetricState)>,
}

impl Tally {
    pub(crate) fn new(objective: &dyn Objective, metrics: &[Box<dyn Metric>]) -> Result<Self> {
        let mut tally = Tally::default();
        tally.expect(objective, metrics)?;
        Ok(tally)
    }

    /// Sums of these outputs and metrics: those that there are go on, others begin.
    ///
    /// # Errors
    /// Two of one name.
    pub(crate) fn expect(&mut self, objective: &dyn Objective, metrics: &[Box<dyn Metric>]) -> Result<()> {
        let outputs = objective.outputs();
        let losses: Vec<String> = outputs.iter().map(|output| format!("{output}_loss")).collect();
        let labels: Vec<Cow<'static, str>> = metrics.iter().map(|metric| metric.label()).collect();
        for (at, label) in labels.iter().enumerate() {
            if label == "loss" || losses.iter().any(|loss| loss == label) || labels[..at].contains(label) {
                let message =
                    format!("two numbers are called `{label}`: give a metric another name, `Named(\"…\", metric)`");
                return Err(Error::value("metric", message));
            }
        }
        self.outputs = going_on(&mut self.outputs, outputs);
        self.metrics = going_on(&mut self.metrics, labels);
        Ok(())
    }

    /// Gives the batch's loss where the host can see it without waiting for the device.
    pub(crate) fn add(&mut self, metrics: &[Box<dyn Metric>], batch: &Batch, outcome: &Outcome) -> Result<Option<f64>> {
        let _metrics = profile::enter(Phase::Other, "metrics");
        let mask = outcome.mask.as_deref();
        let of = |mask: Option<&Tensor>| mask.map_or(Ok(Count::Known(batch.len() as f64)), Count::of);
        let loss = self.loss.add_mean(outcome.loss.tensor(), &of(mask)?)?;
        for (name, running) in &mut self.outputs {
            let mut of_output = outcome.predictions.iter().filter(|prediction| prediction.output == *name);
            if let Some((own, mask)) = of_output.next().and_then(|output| Some((output.loss.as_ref()?, &output.mask))) {
                running.add_mean(own.tensor(), &of(mask.as_deref())?)?;
            }
        }
        if outcome.predictions.is_empty() {
            return Ok(loss);
        }
        match self.add_metrics(metrics, batch, outcome) {
            // A metric that refuses NaN would hide the loss, of which the NaN guard makes a better report.
            Err(_) if loss.is_some_and(|loss| !loss.is_finite()) => Ok(loss),
            done => done.map(|()| loss),
        }
    }

    /// Shows each output to its metrics, in parts where it is computed for them.
    fn add_metrics(&mut self, metrics: &[Box<dyn Metric>], batch: &Batch, outcome: &Outcome) -> Result<()> {
        let of = metrics.iter().map(|metric| measured(&**metric, outcome, batch)).collect::<Result<Vec<_>>>()?;
        for (at, (prediction, targets)) in outcome.predictions.iter().zip(batch.targets.iter()).enumerate() {
            if !of.contains(&at) {
                continue;
            }
            let by_steps = metrics.iter().zip(&of).all(|(metric, of)| *of != at || metric.takes_steps());
            each_part(prediction, (targets, batch.weights.of(at)), by_steps, &mut |part| {
                let own = metrics.iter().zip(&mut self.metrics).zip(&of).filter(|(_, of)| **of == at);
                for ((metric, (_, state)), _) in own {
                    let weights = part.weights.filter(|_| metric.sees_weights());
                    metric.update(state, &Seen { weights, ..*part })?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Means of the loss and the first metric, where the host has their sums.
    pub(crate) fn so_far(&self) -> SoFar {
        let metric = self.metrics.first().and_then(|(name, state)| match name {
            Cow::Borrowed(name) => Some((*name, state.mean.host_mean()?)),
            Cow::Owned(_) => None,
        });
        (self.loss.host_mean(), metric)
    }

    /// What the pass came to. Waits for the device.
    pub(crate) fn finish(&self, metrics: &[Box<dyn Metric>]) -> Result<Evaluation> {
        let mut evaluation = Evaluation { loss: self.loss.mean()?, ..Evaluation::default() };
        for (output, loss) in &self.outputs {
            evaluation.metrics.push((format!("{output}_loss").into(), loss.mean()?));
        }
        for (metric, (name, state)) in metrics.iter().zip(&self.metrics) {
            let name = name.clone();
            match metric.value(state)? {
                MetricValue::Number(number) => evaluation.metrics.push((name, number)),
                MetricValue::Table(table) => evaluation.tables.push((name, table)),
                MetricValue::Undefined(why) => {
                    evaluation.metrics.push((name.clone(), f64::NAN));
                    evaluation.undefined.push((name, why));
                }
            }
        }
        Ok(evaluation)
    }

    /// Adds `PREFIX.NAME.…` of the loss and each metric.
    pub(crate) fn save(&self, prefix: &str, state: &mut StateDict) -> Result<()> {
        self.loss.save(&format!("{prefix}.loss"), state)?;
        for (name, sum) in &self.outputs {
            sum.save(&format!("{prefix}.output.{name}"), state)?;
        }
        let mut metrics = self.metrics.iter();
        metrics.try_for_each(|(name, sum)| sum.save(&format!("{prefix}.metric.{name}"), state))
    }

    /// What [`Tally::save`] wrote; `name` is what follows the prefix. Gives whether it was such an entry.
    pub(crate) fn load(&mut self, name: &str, value: &Tensor) -> Result<bool> {
        let Some((of, part)) = name.rsplit_once('.') else { return Ok(false) };
        match of.split_once('.') {
            None if of == "loss" => self.loss.load(part, value),
            Some(("output", output)) => entry(&mut self.outputs, output.to_owned()).load(part, value),
            Some(("metric", metric)) => entry(&mut self.metrics, Cow::Owned(metric.to_owned())).load(part, value),
            _ => Ok(false),
        }
    }
}

/// The sums of these names: what there is of them, and new ones.
fn going_on<N: PartialEq, S: Default>(known: &mut Vec<(N, S)>, names: Vec<N>) -> Vec<(N, S)> {
    let with_sum = |name: N| {
        let at = known.iter().position(|(other, _)| *other == name);
        let sum = at.map(|at| known.swap_remove(at).1).unwrap_or_default();
        (name, sum)
    };
    names.into_iter().map(with_sum).collect()
}

/// The sum of this name, a new one where there is none.
fn entry<N: PartialEq, S: Default>(sums: &mut Vec<(N, S)>, name: N) -> &mut S {
    let at = sums.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
        sums.push((name, S::default()));
        sums.len() - 1
    });
    &mut sums[at].1
}

/// Hands `see` an output with its targets: the whole batch, or where it is computed for that some samples at a time, and with `by_steps`
/// some steps of a long one.
fn each_part(
    prediction: &Prediction,
    (targets, weights): (&Tensor, Option<&Tensor>),
    by_steps: bool,
    see: &mut dyn FnMut(&Seen<'_>) -> Result<()>,
) -> Result<()> {
    let mask = prediction.mask.as_deref();
    let Value::Projection(projection, _) = &prediction.values else {
        let values = prediction.values.as_var()?;
        return see(&Seen { mask, weights, ..Seen::new(values, &aligned(targets, values.shape())?) });
    };
    for part in projection.parts(by_steps) {
        let (part, values) = part?;
        let of = |x: &Tensor| part.of(x);
        let (mask, weights) = (mask.map(of).transpose()?, weights.map(of).transpose()?);
        let targets = aligned(&of(targets)?, values.shape())?;
        see(&Seen { mask: mask.as_ref(), weights: weights.as_ref(), ..Seen::new(&values, &targets) })?;
    }
    Ok(())
}

/// The place of the output that a metric is of.
fn measured(metric: &dyn Metric, outcome: &Outcome, batch: &Batch) -> Result<usize> {
    let mut pairs = outcome.predictions.iter().zip(batch.targets.iter());
    let found = match metric.output() {
        None => pairs.next().map(|_| 0),
        Some(output) => pairs.position(|(prediction, _)| prediction.output == output),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = outcome.predictions.iter().map(|prediction| prediction.output.as_str()).collect();
        let output = metric.output().unwrap_or("the first");
        let message =
            format!("{} of the output `{output}`, but the model's outputs are {}", metric.name(), names.join(", "));
        Error::value("metric", message)
    })
}
