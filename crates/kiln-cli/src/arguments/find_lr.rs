//! What `kiln find-lr` takes.

use super::parsers::{count, positive};
use super::{Task, TrainOptions};
use clap::{ArgGroup, Args};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args)]
#[command(group = ArgGroup::new("task").args(["recipe", "config"]).required(true))]
pub(crate) struct FindLrOptions {
    #[command(flatten)]
    pub(crate) task: Task,
    /// Learning rate of the first step
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = positive, default_value = "1e-7")]
    pub(crate) min: f64,
    /// Learning rate of the last step, where the loss does not diverge before
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = positive, default_value = "10")]
    pub(crate) max: f64,
    /// Steps, at least 10
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count, default_value = "100")]
    pub(crate) steps: NonZeroUsize,
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
        TrainOptions { task: self.task.clone(), ..TrainOptions::default() }
    }
}
