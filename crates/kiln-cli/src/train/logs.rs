//! `--log`: what a training writes into the run's folder while it runs.

use super::job::Job;
use crate::settings::{Leaf, Settings, Value};
use clap::ValueEnum;
use kiln::prelude::*;
use std::path::Path;

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

impl Job<'_> {
    /// The logs that the settings ask for, in the run's folder. They make their files when the first epoch begins.
    pub(super) fn logs(&self, settings: &Settings, model: &Sequential) -> Result<Vec<Box<dyn Callback>>> {
        if self.plan.log.is_empty() {
            return Ok(Vec::new());
        }
        let Some(folder) = self.path else {
            let message = "training.log: logs are files in the run's folder: name it with --out DIR";
            return Err(Error::value("", message));
        };
        let every = self.plan.log_steps;
        let log = |kind: &LogKind| -> Box<dyn Callback> {
            match kind {
                LogKind::Tensorboard => Box::new(self.board(folder, settings, model)),
                LogKind::Csv => {
                    Box::new(CsvLog::new(folder.join("log.csv")).steps(folder.join("log.steps.csv"), every))
                }
                LogKind::Jsonl => Box::new(JsonLinesLog::new(folder.join("log.jsonl")).every_steps(every)),
            }
        };
        Ok(self.plan.log.iter().map(log).collect())
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
