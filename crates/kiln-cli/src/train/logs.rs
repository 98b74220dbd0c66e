//! `--log`: what a training writes into the run's folder while it runs.

use super::job::Job;
use crate::report::tell;
use crate::settings::{Leaf, Settings, Value};
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::prelude::*;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Logs by name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogKind {
    /// RUN/tensorboard: scalars, histograms, predictions, hyperparameters for `tensorboard --logdir RUN`
    Tensorboard,
    /// RUN/log.csv, a row an epoch, and RUN/log.steps.csv, a row a number
    Csv,
    /// RUN/log.jsonl, an object a line
    Jsonl,
}

impl LogKind {
    /// As the command line and settings have it.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its files in the run's folder.
    fn files(self) -> &'static [&'static str] {
        match self {
            LogKind::Tensorboard => &[
                "tensorboard/events.out.tfevents.kiln",
                "tensorboard/train/events.out.tfevents.kiln",
                "tensorboard/validation/events.out.tfevents.kiln",
            ],
            LogKind::Csv => &["log.csv", "log.steps.csv"],
            LogKind::Jsonl => &["log.jsonl"],
        }
    }
}

/// Removes the logs of the run that a new one replaces, but for those that the new one begins anew.
struct OldLogs {
    folder: PathBuf,
    files: Vec<&'static str>,
}

impl Callback for OldLogs {
    /// The old run is there until the first checkpoint is written.
    fn on_epoch_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        for file in self.files.drain(..) {
            let path = self.folder.join(file);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let message = format!("{}: the log of an older run cannot be removed: {error}", path.display());
                    return Err(Error::new(ErrorKind::Io, "", message).with_source(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What names of a setting mean, each once; or why one means nothing.
pub(crate) fn named(names: &[String]) -> std::result::Result<Vec<LogKind>, String> {
    let mut kinds = Vec::new();
    for name in names {
        let kind = LogKind::from_str(name, true).map_err(|_| {
            let known: Vec<String> = LogKind::value_variants().iter().map(|kind| kind.name()).collect();
            format!("unknown log {name:?}; known are {}", known.join(", "))
        })?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// Names as a setting has them: `["tensorboard", "csv"]`.
pub(super) fn setting(kinds: &[LogKind]) -> String {
    let names: Vec<String> = kinds.iter().map(|kind| format!("{:?}", kind.name())).collect();
    format!("[{}]", names.join(", "))
}

/// That a log has gaps now.
fn tell_failure(error: &Error) {
    tell(&format!("{}; the training goes on, and the log may have gaps", error.message()));
}

impl Job<'_> {
    /// The logs that the settings ask for, in the run's folder. They make their files when the first epoch begins.
    pub(super) fn logs(&self, settings: &Settings, model: &Sequential) -> Result<Vec<Box<dyn Callback>>> {
        let asked = &self.plan.log;
        let Some(folder) = self.path else {
            let message = "training.log: logs are files in the run's folder: name it with --out DIR";
            return if asked.is_empty() { Ok(Vec::new()) } else { Err(Error::value("", message)) };
        };
        let every = self.plan.log_steps;
        let log = |kind: &LogKind| -> Box<dyn Callback> {
            match kind {
                LogKind::Tensorboard => Box::new(self.board(folder, settings, model).on_failure(tell_failure)),
                LogKind::Csv => {
                    let log = CsvLog::new(folder.join("log.csv")).steps(folder.join("log.steps.csv"), every);
                    Box::new(log.on_failure(tell_failure))
                }
                LogKind::Jsonl => {
                    let log = JsonLinesLog::new(folder.join("log.jsonl")).every_steps(every);
                    Box::new(log.on_failure(tell_failure))
                }
            }
        };
        let mut logs: Vec<Box<dyn Callback>> = asked.iter().map(log).collect();
        if self.options.resume.is_none() {
            let others = LogKind::value_variants().iter().filter(|kind| !asked.contains(kind));
            let files = others.flat_map(|kind| kind.files().iter().copied()).collect();
            logs.push(Box::new(OldLogs { folder: folder.to_owned(), files }));
        }
        Ok(logs)
    }

    fn board(&self, folder: &Path, settings: &Settings, model: &Sequential) -> TensorBoard {
        let board = TensorBoard::new(folder.join("tensorboard"))
            .every_steps(self.plan.log_steps)
            .class_names(&self.data.classes)
            .text("model", &format!("```\n{}```\n", model.summary(&self.name)))
            .text("settings", &format!("```toml\n{}```\n", settings.to_toml(&[])));
        // Layers and other lists are in the text, and `run` says how it was made.
        let single = |leaf: &Leaf| leaf.path.split('.').all(|key| key != "run" && key.parse::<usize>().is_err());
        settings.leaves().into_iter().filter(single).fold(board, |board, Leaf { path, node }| match node.value {
            Value::Text(text) => board.hyperparameter(&path, text),
            Value::Integer(number) => board.hyperparameter(&path, number as f64),
            Value::Float(number) => board.hyperparameter(&path, number),
            Value::Boolean(flag) => board.hyperparameter(&path, flag),
            Value::List(_) | Value::Table(_) => board,
        })
    }
}
