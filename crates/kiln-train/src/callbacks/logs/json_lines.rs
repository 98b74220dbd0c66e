//! A log of one JSON object a line.

use super::{Every, Failures, LogFile, is_within_epoch, load_rate, on_failure, save_rate};
use crate::{Callback, EpochRecord, Evaluation, Run, Scalar};
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::Result;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Writes what a training reports into a file of JSON lines, an object a line.
///
/// `kind` says what it is, `step` after how many steps of the optimizer it was written:
///
/// | `kind` | when | numbers |
/// |---|---|---|
/// | `epoch` | after each completed epoch | `epoch`, `loss`, metrics, the same with `val_` before, `learning_rate`, `seconds` |
/// | `step` | with [`JsonLinesLog::every_steps`] | `epoch`, `learning_rate`, and the `loss` of the step's last batch, where the host sees it without waiting for a device |
/// | `validation` | after a validation within an epoch | `val_loss`, metrics |
/// | `scalars` | when callbacks report numbers with [`Run::log`] | these by their names |
///
/// A number that is NaN or infinite is `null`. A file that is there is replaced; a training that is resumed goes on with its file, as
/// that of [`CsvLog`](crate::CsvLog).
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, JsonLinesLog, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// # let path = std::env::temp_dir().join(format!("kiln-json-lines-{}.jsonl", std::process::id()));
/// trainer.fit(&data, FitOptions::new().epochs(3).callback(JsonLinesLog::new(&path).every_steps(1)))?;
/// # let text = std::fs::read_to_string(&path).unwrap();
/// # assert_eq!(text.lines().filter(|line| line.contains(r#""kind":"epoch""#)).count(), 3);
/// # std::fs::remove_file(path).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JsonLinesLog {
    file: LogFile,
    every_steps: Every,
    /// Of the last step.
    learning_rate: f64,
    failures: Failures,
}

on_failure!(JsonLinesLog);

impl JsonLinesLog {
    /// Writes this file; its folder is made where it is not there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let file = LogFile::of_lines("JsonLinesLog", path.into());
        JsonLinesLog { file, every_steps: Every(0), learning_rate: 0.0, failures: Failures::default() }
    }

    /// Writes a line after every so many steps too; 0, the default, writes none.
    #[must_use]
    pub fn every_steps(self, steps: usize) -> Self {
        JsonLinesLog { every_steps: Every(steps as u64), ..self }
    }

    /// A line of these numbers.
    fn line<N: Into<String>>(
        &mut self,
        kind: &str,
        run: &Run<'_>,
        epoch: Option<usize>,
        numbers: impl IntoIterator<Item = (N, f64)>,
    ) -> Result<()> {
        let mut object: Map<String, Value> =
            numbers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        object.insert("kind".to_owned(), kind.into());
        object.insert("step".to_owned(), run.state.step.into());
        object.extend(epoch.map(|epoch| ("epoch".to_owned(), epoch.into())));
        let written = self.file.write(format!("{}\n", Value::Object(object)).as_bytes());
        self.failures.written(written)
    }
}

impl Callback for JsonLinesLog {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.failures.begin_fit();
        Ok(())
    }

    fn on_epoch_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        // A place that cannot be written is told before the first epoch.
        let opened = self.file.open();
        self.failures.begin_epoch(opened)
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.learning_rate = run.learning_rate();
        if !self.every_steps.is_due(run.state.step) {
            return Ok(());
        }
        let loss = run.loss().map(|loss| ("loss", loss));
        let epoch = run.progress().epoch;
        self.line("step", run, Some(epoch), loss.into_iter().chain([("learning_rate", self.learning_rate)]))
    }

    fn on_log(&mut self, run: &mut Run<'_>, scalars: &[Scalar]) -> Result<()> {
        self.line("scalars", run, None, scalars.iter().map(|scalar| (&*scalar.name, scalar.value)))
    }

    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        if !is_within_epoch(run) {
            return Ok(());
        }
        let numbers = evaluation.numbers().map(|(name, value)| (format!("val_{name}"), value));
        self.line("validation", run, None, numbers)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if !run.has_completed(record) {
            return Ok(());
        }
        let columns = record.columns(record.validation.is_some());
        let numbers = columns.into_iter().filter_map(|name| record.value(&name).map(|value| (name, value)));
        let more = [("learning_rate".to_owned(), self.learning_rate), ("seconds".to_owned(), record.seconds)];
        self.line("epoch", run, Some(record.epoch), numbers.chain(more))
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("JsonLinesLog", self))
    }
}

impl Stateful for JsonLinesLog {
    /// The length of the file, `bytes`, and the `learning_rate` of the last step.
    fn state_dict(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        self.file.save("bytes", &mut state)?;
        save_rate(self.learning_rate, &mut state)?;
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        load_rate(&mut self.learning_rate, state)?;
        self.file.load("bytes", state)
    }
}
