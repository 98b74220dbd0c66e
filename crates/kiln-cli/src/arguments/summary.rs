//! The options of `kiln summary`.

use super::parsers::{RECIPE_OR_PATH, count};
use clap::Args;
use std::num::NonZeroUsize;

#[derive(Args)]
pub(crate) struct SummaryOptions {
    /// A recipe, a file, or the folder of a run.
    #[arg(value_name = "RECIPE|FILE|RUN", value_parser = RECIPE_OR_PATH)]
    pub(crate) what: String,
    /// Compile the model for inference and show each step: kernel, layout, FLOPs, time.
    #[arg(long)]
    pub(crate) plan: bool,
    /// With --plan: fold batch normalization into weights and use Winograd convolutions. Results differ in the last digits.
    #[arg(long, requires = "plan")]
    pub(crate) fast: bool,
    /// With --plan: samples that are computed at one time.
    #[arg(long, value_name = "N", value_parser = count, default_value = "1", requires = "plan")]
    pub(crate) batch_size: NonZeroUsize,
}
