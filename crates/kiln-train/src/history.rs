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
    /// Numbers by name. A model with several outputs has the loss of each first, `digit_loss`, without its weight in the
    /// sum and without penalties; then come the metrics in the order in which they were added.
    pub metrics: Vec<(Cow<'static, str>, f64)>,
    /// The metrics that are tables. They are not part of a history's CSV or of a training's saved state.
    pub tables: Vec<(Cow<'static, str>, Table)>,
    /// The metrics that are undefined here, with the reason; their number is NaN.
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

    /// Why the metric of this name is undefined, if it is: the AUC of targets of one class.
    pub fn undefined(&self, name: &str) -> Option<&str> {
        self.undefined.iter().find(|(n, _)| n == name).map(|(_, why)| why.as_str())
    }

    /// `loss` and the metrics, by name.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (Cow<'_, str>, f64)> {
        let metrics = self.metrics.iter().map(|(name, value)| (Cow::from(&**name), *value));
        std::iter::once((Cow::from("loss"), self.loss)).chain(metrics)
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

    /// The columns of a table of epochs like this one: `epoch`, then the names of its numbers, with those of a validation or without,
    /// then `seconds`.
    pub(crate) fn columns(&self, validates: bool) -> Vec<String> {
        let names = || self.train.numbers().map(|(name, _)| name);
        let own = names().map(Cow::into_owned);
        let validation = names().filter(|_| validates).map(|name| format!("val_{name}"));
        ["epoch".to_owned()].into_iter().chain(own).chain(validation).chain(["seconds".to_owned()]).collect()
    }

    /// The row of such a table, with its end; a number that is missing is NaN.
    pub(crate) fn csv(&self, columns: &[String]) -> String {
        let cell = |name: &String| match name.as_str() {
            "epoch" => self.epoch.to_string(),
            "seconds" => self.seconds.to_string(),
            name => self.value(name).unwrap_or(f64::NAN).to_string(),
        };
        columns.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
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
        let Some(first) = self.epochs.first() else { return "epoch,seconds\n".to_owned() };
        let columns = first.columns(first.validation.is_some());
        let mut out = columns.join(",") + "\n";
        self.epochs.iter().for_each(|record| out += &record.csv(&columns));
        out
    }
}
