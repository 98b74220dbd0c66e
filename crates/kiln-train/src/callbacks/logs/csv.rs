//! A table of the epochs as comma-separated values.

use super::{Every, Failures, LogFile, is_within_epoch, on_failure};
use crate::{Callback, EpochRecord, Evaluation, Run, Scalar};
use kiln_nn::{StateDict, Stateful};
use kiln_tensor::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Writes a row for each completed epoch into a CSV file, right after the epoch (Keras's `CSVLogger`).
///
/// The columns are those of [`History::to_csv`](crate::History::to_csv): `epoch`, `loss`, metrics, the same of the validation with `val_`
/// before, `seconds`. [`CsvLog::steps`] writes a second file with the numbers of steps.
///
/// A file that is there is replaced. A training that is resumed from a checkpoint goes on with its file: lines that are newer than the
/// checkpoint are cut off and written again, so the file is that of a training that was never interrupted, but for the seconds. If the
/// file has become shorter meanwhile, its whole lines are kept; if it is gone, a new one begins.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{CsvLog, FitOptions, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// # let folder = std::env::temp_dir().join(format!("kiln-csv-log-{}", std::process::id()));
/// let log = CsvLog::new(folder.join("log.csv")).steps(folder.join("steps.csv"), 10);
/// trainer.fit(&data, FitOptions::new().epochs(3).callback(log))?;
/// # let text = std::fs::read_to_string(folder.join("log.csv")).unwrap();
/// assert!(text.starts_with("epoch,loss,seconds\n1,"));
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[doc(alias = "CSVLogger")]
pub struct CsvLog {
    epochs: LogFile,
    steps: Option<(LogFile, Every)>,
    /// The columns of the epochs' file, once it has a header.
    columns: Option<Vec<String>>,
    failures: Failures,
}

on_failure!(CsvLog);

impl CsvLog {
    /// Writes this file; its folder is made where it is not there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let epochs = LogFile::of_lines("CsvLog", path.into());
        CsvLog { epochs, steps: None, columns: None, failures: Failures::default() }
    }

    /// Writes a second file with the columns `step,name,value`, a row for each number: after every `every` steps the `loss` of the step's
    /// last batch, where the host sees it without waiting for a device, and the `learning_rate`; numbers of validations within an epoch
    /// (`val_loss`); and whatever callbacks report with [`Run::log`]. `every` is at least 1.
    #[must_use]
    pub fn steps(self, path: impl Into<PathBuf>, every: usize) -> Self {
        CsvLog { steps: Some((LogFile::of_lines("CsvLog", path.into()), Every(every as u64))), ..self }
    }

    /// Writes the header, or compares it with that of the file being resumed.
    fn begin(&mut self, columns: Vec<String>) -> Result<()> {
        self.epochs.open()?;
        let header = columns.join(",");
        if self.epochs.is_empty() {
            self.epochs.write(format!("{header}\n").as_bytes())?;
        } else {
            let path = self.epochs.path();
            let mut first = String::new();
            File::open(path).and_then(|file| BufReader::new(file).read_line(&mut first)).map_err(|error| {
                let message = format!("{}: the log cannot be read: {error}", path.display());
                Error::new(ErrorKind::Io, "CsvLog", message).with_source(error)
            })?;
            if first.trim_end() != header {
                let message = format!(
                    "{}: the columns are {}, and this training reports {header}: give the log another file",
                    path.display(),
                    first.trim_end()
                );
                return Err(Error::new(ErrorKind::Format, "CsvLog", message));
            }
        }
        self.columns = Some(columns);
        Ok(())
    }

    fn write_row(&mut self, record: &EpochRecord, validates: bool) -> Result<()> {
        if self.columns.is_none() {
            self.begin(record.columns(validates))?;
        }
        let row = record.csv(self.columns.as_deref().unwrap_or_default());
        self.epochs.write(row.as_bytes())
    }

    fn write_steps<'n>(&mut self, step: u64, numbers: impl IntoIterator<Item = (Cow<'n, str>, f64)>) -> Result<()> {
        let Some((file, _)) = &mut self.steps else { return Ok(()) };
        let mut lines = if file.is_empty() { "step,name,value\n".to_owned() } else { String::new() };
        for (name, value) in numbers {
            let _ = writeln!(lines, "{step},{},{value}", cell(&name));
        }
        let written = file.write(lines.as_bytes());
        self.failures.written(written)
    }
}

impl Callback for CsvLog {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.columns = None;
        self.failures.begin_fit();
        self.steps.iter().try_for_each(|(_, every)| every.check("CsvLog", "steps(…, 0)"))
    }

    fn on_epoch_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        // A place that cannot be written is told before the first epoch.
        let mut files = std::iter::once(&mut self.epochs).chain(self.steps.iter_mut().map(|(file, _)| file));
        let opened = files.try_for_each(LogFile::open);
        self.failures.begin_epoch(opened)
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let step = run.state.step;
        if !self.steps.as_ref().is_some_and(|(_, every)| every.is_due(step)) {
            return Ok(());
        }
        let loss = run.loss().map(|loss| (Cow::from("loss"), loss));
        self.write_steps(step, loss.into_iter().chain([("learning_rate".into(), run.learning_rate())]))
    }

    fn on_log(&mut self, run: &mut Run<'_>, scalars: &[Scalar]) -> Result<()> {
        let numbers = scalars.iter().map(|scalar| (Cow::from(&*scalar.name), scalar.value));
        self.write_steps(run.state.step, numbers)
    }

    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        if !is_within_epoch(run) {
            return Ok(());
        }
        let numbers = evaluation.numbers().map(|(name, value)| (format!("val_{name}").into(), value));
        self.write_steps(run.state.step, numbers)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if !run.has_completed(record) {
            return Ok(());
        }
        let written = self.write_row(record, run.validation().is_some());
        self.failures.written(written)
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("CsvLog", self))
    }
}

impl Stateful for CsvLog {
    /// The lengths of the files, `epochs` and `steps`.
    fn state_dict(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        self.epochs.save("epochs", &mut state)?;
        self.steps.iter().try_for_each(|(file, _)| file.save("steps", &mut state))?;
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.columns = None;
        self.epochs.load("epochs", state)?;
        self.steps.iter_mut().try_for_each(|(file, _)| file.load("steps", state))
    }
}

/// A text as a cell of a CSV file.
fn cell(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}
