//! What the command takes.

use crate::recipes::Recipe;
use clap::{Args, Parser, Subcommand};
use kiln::tensor::Device;
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
}

#[derive(Args)]
pub(crate) struct TrainOptions {
    /// What to train.
    pub(crate) recipe: Recipe,
    /// Passes over the training data [default: the recipe's]
    #[arg(long)]
    pub(crate) epochs: Option<NonZeroUsize>,
    /// Samples per step [default: the recipe's]
    #[arg(long)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    /// Learning rate [default: the recipe's]
    #[arg(long, value_parser = learning_rate)]
    pub(crate) lr: Option<f64>,
    /// Fixes initial weights, order of samples and dropout: the same seed gives the same weights, bit for bit
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads to compute with [default: all]; the weights do not depend on it
    #[arg(long)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(crate) device: Device,
    /// Folder of the data: DIR/mnist/*-ubyte[.gz] [default: $KILN_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Folder for model.safetensors and history.csv
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Train on the first N samples only
    #[arg(long, value_name = "N")]
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

fn learning_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(value) => Err(format!("a learning rate above 0 is expected, {value} was given")),
        Err(error) => Err(error.to_string()),
    }
}
