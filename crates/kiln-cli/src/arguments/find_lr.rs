//! What `kiln find-lr` takes.

use super::parsers::{count, rate};
use super::{Computing, TrainOptions};
use crate::recipes::Recipe;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct FindLrOptions {
    /// What to train.
    #[arg(required_unless_present = "config")]
    pub(crate) recipe: Option<Recipe>,
    /// Settings file, as `kiln init` writes one, instead of a recipe
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    pub(crate) config: Option<PathBuf>,
    /// Set a value of the settings: --set model.layers.1.units=64 (again for others)
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Learning rate of the first step
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = rate, default_value = "1e-7")]
    pub(crate) min: f64,
    /// Learning rate of the last step, where the loss does not diverge before
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = rate, default_value = "10")]
    pub(crate) max: f64,
    /// Steps, at least 10
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count, default_value = "100")]
    pub(crate) steps: NonZeroUsize,
    /// Samples per step [default: the recipe's]
    #[arg(long, allow_negative_numbers = true, value_parser = count)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    /// As of `kiln train` [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) computing: Computing,
    /// Folder of the data [default: as for `kiln train`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// PNG file that is drawn
    #[arg(long, value_name = "FILE", default_value = "lr.png")]
    pub(crate) out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl FindLrOptions {
    /// The options of the training that the rate is for.
    pub(crate) fn training(&self) -> TrainOptions {
        TrainOptions {
            recipe: self.recipe,
            config: self.config.clone(),
            set: self.set.clone(),
            batch_size: self.batch_size,
            seed: self.seed,
            computing: self.computing.clone(),
            data: self.data.clone(),
            ..TrainOptions::default()
        }
    }
}
