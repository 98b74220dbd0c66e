//! What training reported, epoch by epoch.

use crate::callbacks::{epoch_of, number};
use crate::{Progress, Table};
use std::borrow::Cow;
use std::fmt::Write;

/// Mean loss and metrics over a data set.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Evaluation {
    /// Mean loss of the samples.
    pub loss: f64,
    /// Numbers by name: of a model with several outputs the loss of each, `digit_loss`, before its weight in the sum and without penalties; then the
    /// metrics in the order in which they were asked for.
    pub metrics: Vec<(Cow<'static, str>, f64)>,
    /// The metrics that are tables. They are no columns of a history, nor part of a training's state.
    pub tables: Vec<(Cow<'static, str>, Table)>,
    /// The metrics that have no value here, whose number is NaN, with the reason.
    pub undefined: Vec<(Cow<'static, str>, String)>,
}

impl Evaluation {
    /// The metric of this name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(n, _)| n == name).map(|&(_, value)| value)
    }

    /// The table of the metric of this name: `confusion_matrix`.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|(n, _)| n == name).map(|(_, table)| table)
    }

    /// Why the metric of this name is NaN, where it has no value: the AUC of targets that are all of one class.
    pub fn undefined(&self, name: &str) -> Option<&str> {
        self.undefined.iter().find(|(n, _)| n == name).map(|(_, why)| why.as_str())
    }

    /// The metric `accuracy`, or NaN where it was not asked for.
    pub fn accuracy(&self) -> f64 {
        self.metric("accuracy").unwrap_or(f64::NAN)
    }
}

/// One epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct EpochRecord {
    /// Number of the epoch, from 1, counted over all calls of `fit`.
    pub epoch: usize,
    /// On the training data, while the weights changed.
    pub train: Evaluation,
    /// On the validation data, after the epoch; none where there is none, and where the training was stopped before it was
    /// finished.
    pub validation: Option<Evaluation>,
    /// Time of the epoch with its validation.
    pub seconds: f64,
}

impl EpochRecord {
    /// The number of this name: `loss`, an output's loss, a metric's, or either with `val_` before for the validation's.
    pub fn value(&self, name: &str) -> Option<f64> {
        let (evaluation, name) = match name.strip_prefix("val_") {
            Some(name) => (self.validation.as_ref()?, name),
            None => (&self.train, name),
        };
        if name == "loss" { Some(evaluation.loss) } else { evaluation.metric(name) }
    }

    /// The epoch in a line, of so many epochs: `epoch  3/10  loss 0.1235  accuracy 0.9630  validation 0.1432  0.9571  1.32 s`.
    /// The numbers of the validation come in the order of the others.
    pub fn line(&self, epochs: usize) -> String {
        let mut line = format!("epoch {}  loss {}", epoch_of(self.epoch, epochs), number(self.train.loss));
        for (name, value) in &self.train.metrics {
            let _ = write!(line, "  {name} {}", number(*value));
        }
        if let Some(validation) = &self.validation {
            let _ = write!(line, "  validation {}", number(validation.loss));
            for (_, value) in &validation.metrics {
                let _ = write!(line, "  {}", number(*value));
            }
        }
        let _ = write!(line, "  {:.2} s", self.seconds);
        let validation = self.validation.iter().flat_map(|validation| &validation.undefined);
        for (name, why) in self.train.undefined.iter().chain(validation) {
            let _ = write!(line, "  ({name}: {why})");
        }
        line
    }
}

/// All epochs of a call of `fit`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// In order.
    pub epochs: Vec<EpochRecord>,
    /// From the first batch to the last validation.
    pub seconds: f64,
    /// Validations by the number of the step after which they were made, where
    /// [`FitOptions::validate_every`](crate::FitOptions::validate_every) asks for them; those at the end of epochs are in their
    /// records.
    pub validations: Vec<(u64, Evaluation)>,
    /// The last batch trained on, where a callback or [`FitOptions::stop`](crate::FitOptions::stop) ended the training.
    pub stopped: Option<Progress>,
}

impl History {
    /// The last epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// As comma-separated values with a header: epoch, loss, metrics, then the same of the validation with `val_` before, and the
    /// epoch's seconds. The names are those of Keras's CSVLogger, which counts epochs from 0 where these begin at 1, sorts the
    /// columns by name and writes no seconds. A validation that was not finished is NaN.
    pub fn to_csv(&self) -> String {
        let mut out = String::from("epoch");
        let columns = |out: &mut String, prefix: &str, e: &Evaluation| {
            let _ = write!(out, ",{prefix}loss");
            e.metrics.iter().for_each(|(name, _)| {
                let _ = write!(out, ",{prefix}{name}");
            });
        };
        let first = self.epochs.first();
        let validates = first.is_some_and(|first| first.validation.is_some());
        if let Some(first) = first {
            columns(&mut out, "", &first.train);
            first.validation.iter().for_each(|v| columns(&mut out, "val_", v));
        }
        out.push_str(",seconds\n");
        for record in &self.epochs {
            let _ = write!(out, "{}", record.epoch);
            let mut values = |e: &Evaluation, missing: bool| {
                for value in std::iter::once(e.loss).chain(e.metrics.iter().map(|(_, value)| *value)) {
                    let _ = write!(out, ",{}", if missing { f64::NAN } else { value });
                }
            };
            values(&record.train, false);
            match &record.validation {
                Some(validation) => values(validation, false),
                None if validates => values(&record.train, true),
                None => {}
            }
            let _ = writeln!(out, ",{}", record.seconds);
        }
        out
    }
}
