//! What `kiln train` takes, and what it has in common with `kiln find-lr`.

use super::Computing;
use super::parsers::{count, every, not_negative};
use crate::recipes::Recipe;
use crate::train::logs::LogKind;
use clap::{ArgGroup, Args, ValueEnum};
use kiln::train::Mixed;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What to train, on which data.
#[derive(Args, Clone, Default)]
pub(crate) struct Task {
    /// What to train.
    pub(crate) recipe: Option<Recipe>,
    /// Settings file, as `kiln init` writes one, instead of a recipe
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    pub(crate) config: Option<PathBuf>,
    /// Text file that a recipe of text is trained on, in the place of the book that the command carries: UTF-8
    #[arg(long, value_name = "FILE", requires = "recipe")]
    pub(crate) text: Option<PathBuf>,
    /// Set a value of the settings: --set optimizer.lr=0.01, --set model.layers.1.units=64 (again for others)
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Samples per step [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = count)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    /// Type that layers compute in; weights, gradients and checkpoints stay f32. f16 scales the loss [default: the recipe's, or f32]
    #[arg(long, value_name = "TYPE")]
    pub(crate) precision: Option<Precision>,
    /// Fixes initial weights, order of samples and dropout: the same seed gives the same weights, bit for bit [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) computing: Computing,
    /// Folder of the data: DIR/mnist/*-ubyte[.gz], DIR/cifar-10-batches-bin/*.bin [default: $KILN_DATA_DIR, the user's cache
    /// folder, or else a subset of MNIST that the command carries]; for text-classifier and translate-toy a CSV file
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) data: Option<PathBuf>,
}

/// `--precision`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    F32,
    Bf16,
    F16,
}

impl Precision {
    /// The precision of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Precision::value_variants().iter().copied().find(|precision| precision.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }

    pub(crate) fn mixed(self) -> Option<Mixed> {
        match self {
            Precision::F32 => None,
            Precision::Bf16 => Some(Mixed::Bf16),
            Precision::F16 => Some(Mixed::F16),
        }
    }
}

#[derive(Args, Default)]
#[command(group = ArgGroup::new("folder").args(["out", "resume"]).multiple(true))]
#[command(group = ArgGroup::new("task").args(["recipe", "config", "resume"]).required(true).multiple(true))]
pub(crate) struct TrainOptions {
    #[command(flatten)]
    pub(crate) task: Task,
    /// Resume the run in this folder from its last checkpoint, with its own settings; the result is bit for bit that of an uninterrupted
    /// run. A larger --epochs trains further
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "force"])]
    pub(crate) resume: Option<PathBuf>,
    /// Passes over the training data [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = count)]
    pub(crate) epochs: Option<NonZeroUsize>,
    /// Leave out the last batch of an epoch where it is not full
    #[arg(long)]
    pub(crate) drop_last: bool,
    /// Learning rate [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = not_negative)]
    pub(crate) lr: Option<f64>,
    /// Folder for the model, its history and its curves, made where it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the run that --out's folder has
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
    /// When the state of the training is saved in --out's folder: 30s, 5m, 200-steps [default: after each epoch and every 60s]
    #[arg(long, value_name = "TIME|STEPS", value_parser = every)]
    pub(crate) checkpoint_every: Option<String>,
    /// Keep the last N checkpoints [default: 2]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) keep_last: Option<NonZeroUsize>,
    /// Keep the checkpoint with the best value of a number that epochs report too: val_loss, val_accuracy
    #[arg(long, value_name = "NUMBER")]
    pub(crate) keep_best: Option<String>,
    /// Logs that are written into the run's folder during the training, with commas between them
    #[arg(long, value_name = "LOGS", value_delimiter = ',', requires = "folder")]
    pub(crate) log: Vec<LogKind>,
    /// Measure layers and operations: prints tables after the training, and writes a trace for chrome://tracing or ui.perfetto.dev: trace.json
    /// in the run's folder, kiln-trace.json in the current one, or FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) profile: Option<Option<PathBuf>>,
    /// Train on the first N samples only; of a user's own data, on N at random
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Print the final line only (with --json: the result only)
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print one JSON object a line: one for each epoch, then the result
    #[arg(long)]
    pub(crate) json: bool,
}
