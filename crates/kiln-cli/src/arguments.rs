//! What the command takes.

use crate::recipes::Recipe;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use kiln::datasets::CATALOG;
use kiln::tensor::Device;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// More threads than any machine has cores: beyond, starting them takes longer than the training.
const MAX_THREADS: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Kiln trains neural networks.
#[derive(Parser)]
#[command(name = "kiln", version, about, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Train a recipe's model on its data.
    Train(TrainOptions),
    /// List the data sets that are known by name, or fetch one.
    #[command(subcommand)]
    Data(DataCommand),
}

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// What there is, where it is looked for, and what is here.
    List {
        /// Folder that is looked in first
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Fetch a data set from its official mirrors.
    Fetch {
        /// Which one.
        #[arg(value_parser = PossibleValuesParser::new(CATALOG.iter().map(|source| source.name)))]
        name: String,
        /// Folder that it is put into [default: $KILN_DATA_DIR, or the user's cache folder]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct TrainOptions {
    /// What to train.
    pub(crate) recipe: Recipe,
    /// Passes over the training data [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = count)]
    pub(crate) epochs: Option<NonZeroUsize>,
    /// Samples per step [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = count)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    /// Learning rate [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = learning_rate)]
    pub(crate) lr: Option<f64>,
    /// Fixes initial weights, order of samples and dropout: the same seed gives the same weights, bit for bit
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads to compute with [default: all]; the weights do not depend on it
    #[arg(long, allow_negative_numbers = true, value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where to compute: cpu, or sim (the GPU's kernels, simulated and checked: slow)
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(crate) device: Device,
    /// Folder of the data: DIR/mnist/*-ubyte[.gz] [default: $KILN_DATA_DIR, the user's cache folder, or else a subset of MNIST
    /// that the command carries]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Folder for model.safetensors and history.csv
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Train on the first N samples only
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) limit: Option<NonZeroUsize>,
    /// Print the final line only (with --json: the result only)
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print one JSON object a line: one for each epoch, then the result
    #[arg(long)]
    pub(crate) json: bool,
}

fn device(name: &str) -> Result<Device, String> {
    kiln::device(name).map_err(|error| error.message().to_string())
}

/// A number of things, at least one.
fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "a whole number, at least 1, is expected".to_string())
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match count(text)? {
        threads if threads <= MAX_THREADS => Ok(threads),
        _ => Err(format!("at most {MAX_THREADS} threads are possible")),
    }
}

fn learning_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("a number above 0 is expected".to_string()),
    }
}
