//! `Run`: a running `fit`, as callbacks see it.

use crate::state::Tally;
use crate::{EpochRecord, Evaluation, Metric, Mixed, Objective, TrainState, measure};
use kiln_autograd::Gradients;
use kiln_datasets::{Batch, Dataset, Loader};
use kiln_nn::Ctx;
use kiln_optim::Optimizer;
use kiln_tensor::{Device, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

/// Where an epoch has got to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Number of the epoch, from 1, counted over all calls of `fit`.
    pub epoch: usize,
    /// Batches done in it.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Samples in the batch just done.
    pub samples: usize,
    /// Mean loss of the epoch so far, where the host sees it without stopping the device.
    pub loss: Option<f64>,
    /// The first metric so far, likewise.
    pub metric: Option<(&'static str, f64)>,
}

/// A number that a callback reports while training ([`Run::log`]).
#[derive(Clone, PartialEq, Debug)]
pub struct Scalar {
    /// What it is: `gradient_norm.conv1`, `samples_per_second`.
    pub name: Cow<'static, str>,
    /// Its value at this step.
    pub value: f64,
}

/// A running `fit`, as [callbacks](crate::Callback) see it: they may change all of it.
///
/// The model is run by [`Objective::loss`]: `run.model.loss(&batch, &run.eval_ctx())?` gives the loss and the predictions.
pub struct Run<'r> {
    /// What is trained; a [`Module`](kiln_nn::Module).
    pub model: &'r mut dyn Objective,
    /// What trains it.
    pub optimizer: &'r mut dyn Optimizer,
    /// Where the training is.
    pub state: &'r mut TrainState,
    /// The batch that is trained on, from `on_batch_begin` to `on_batch_end`.
    pub batch: Option<Batch>,
    /// The gradients of a step, from `on_step_begin` to `on_step_end`; otherwise there are none.
    pub gradients: Gradients,
    pub(crate) metrics: &'r [Box<dyn Metric>],
    pub(crate) loader: Loader<&'r dyn Dataset>,
    pub(crate) validation: Option<&'r dyn Dataset>,
    pub(crate) batch_size: usize,
    pub(crate) precision: Option<Mixed>,
    pub(crate) device: Device,
    /// Number of the last epoch.
    pub(crate) epochs: usize,
    /// The last batch's loss, where the host sees it.
    pub(crate) loss: Option<f64>,
    /// Whether the host waits for the loss of each batch, where it would not see it otherwise.
    pub(crate) waits_for_loss: bool,
    /// Which of all batches the last forward pass was: what its layers drew is counted by it.
    pub(crate) drawn: u64,
    /// The learning rate of the last step, until the next batch begins.
    pub(crate) stepped: Option<f64>,
    /// Samples of the last batch.
    pub(crate) samples: usize,
    /// The validation that is running, and how many of its batches are done.
    pub(crate) validating: Option<(Tally, usize)>,
    pub(crate) stopping: bool,
    /// Whether [`FitOptions::stop`](crate::FitOptions::stop) ends the training.
    pub(crate) interrupted: bool,
    /// Whether a callback has ended the training.
    pub(crate) ended: bool,
    /// What callbacks have reported since the last hook.
    pub(crate) logged: Vec<Scalar>,
    pub(crate) checkpoint_requested: bool,
    /// When the epoch began, minus the time it took before a resume.
    pub(crate) epoch_began: Instant,
    /// Files for checkpoints, by name.
    pub(crate) attached: BTreeMap<String, Vec<u8>>,
}

impl Run<'_> {
    /// Ends the training after the batch that is being trained on or validated with, or with the epoch if none is. The rest of
    /// an epoch that is left so is trained by the next `fit`.
    pub fn stop(&mut self) {
        (self.stopping, self.ended) = (true, true);
    }

    /// Whether the training is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether [`FitOptions::stop`](crate::FitOptions::stop) ends the training: by a user or the system, not by a callback.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Whether the epoch of this record was completed, as [`on_epoch_end`](crate::Callback::on_epoch_end) may ask: an epoch that was left
    /// ([`Run::stop`]) is reported there too, and goes on later.
    pub fn has_completed(&self, record: &EpochRecord) -> bool {
        self.state.epoch == record.epoch as u64
    }

    /// Reports a number of this step to all callbacks that write logs ([`Callback::on_log`](crate::Callback::on_log)).
    pub fn log(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        self.logged.push(Scalar { name: name.into(), value });
    }

    /// Asks for the state of the training: all callbacks get it ([`Callback::on_checkpoint`](crate::Callback::on_checkpoint)) once they
    /// have seen the present hook, in a place where a training can be resumed from: before the first batch, after a step, an epoch or the
    /// last one.
    pub fn request_checkpoint(&mut self) {
        self.checkpoint_requested = true;
    }

    /// Puts a file into all checkpoints of this `fit` from now on ([`Checkpoint`](crate::Checkpoint)), in the place of an earlier one with
    /// this name.
    pub fn attach(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.attached.insert(name.into(), bytes);
    }

    /// The files for checkpoints, by name.
    pub fn attached(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.attached.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// Number of the last epoch of this `fit`, counted as [`TrainState::epoch`] counts.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// The loss of the last batch, where the host sees it without waiting for a device.
    pub fn loss(&self) -> Option<f64> {
        self.loss
    }

    /// The learning rate of the step that is being made or has just been made, with the schedule's factor: from `on_step_begin` on that
    /// of the batch's step, at the end of an epoch that of its last one. (`run.optimizer.learning_rate()` is the rate before the factor.)
    pub fn learning_rate(&self) -> f64 {
        self.stepped.unwrap_or_else(|| self.optimizer.scheduled_learning_rate())
    }

    /// The same of one parameter, by its path, with the factor of its groups: 0 where they freeze it.
    pub fn learning_rate_of(&self, path: &str) -> f64 {
        self.learning_rate() * self.optimizer.learning_rate_scale(path)
    }

    /// Where the epoch is.
    pub fn progress(&self) -> Progress {
        let (loss, metric) = self.state.tally.so_far();
        Progress {
            epoch: self.state.epoch as usize + 1,
            batch: self.state.batch as usize,
            batches: self.loader.batches(),
            samples: self.samples,
            loss,
            metric,
        }
    }

    /// The data to validate on, if any.
    pub fn validation(&self) -> Option<&dyn Dataset> {
        self.validation
    }

    /// Loss and metrics of the model as it is on a data set, with the layers in evaluation mode, in batches as large as those of
    /// the training.
    ///
    /// # Errors
    /// Data that is empty or does not fit the model.
    pub fn evaluate(&self, data: &dyn Dataset) -> Result<Evaluation> {
        measure(self.model, self.metrics, data, self.batch_size, &self.device, &self.eval_ctx())
    }

    /// The names of the numbers that each epoch reports: `loss`, of several outputs `digit_loss`, `accuracy`, `val_loss`, …
    pub fn reported(&self) -> Vec<String> {
        let losses = self.model.outputs().into_iter().map(|output| format!("{output}_loss"));
        let metrics = self.metrics.iter().map(|metric| metric.label().into_owned());
        let mut names: Vec<String> = std::iter::once("loss".to_owned()).chain(losses).chain(metrics).collect();
        if self.validation.is_some() {
            let validation: Vec<String> = names.iter().map(|name| format!("val_{name}")).collect();
            names.extend(validation);
        }
        names
    }

    /// Whether a larger value of a reported number is better, where that is known: false for losses, for metrics by
    /// [`Metric::larger_is_better`].
    pub fn larger_is_better(&self, reported: &str) -> Option<bool> {
        let name = reported.strip_prefix("val_").unwrap_or(reported);
        match self.metrics.iter().find(|metric| metric.label() == name) {
            Some(metric) => metric.larger_is_better().or_else(|| name.ends_with("accuracy").then_some(true)),
            None => name.ends_with("loss").then_some(false),
        }
    }

    /// A context of evaluation in the precision of the training: what [`Objective::loss`] is given to look at the model.
    pub fn eval_ctx(&self) -> Ctx {
        Mixed::apply(self.precision, Ctx::eval())
    }

    /// The context of the last batch's forward pass: the same random numbers.
    pub(crate) fn context(&self) -> Ctx {
        Mixed::apply(self.precision, Ctx::train(self.state.seed, self.drawn))
    }
}
