//! The options of `kiln quantize`.

use super::Opening;
use super::parsers::count;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct QuantizeOptions {
    /// Folder that `kiln train --out` has written.
    pub(crate) run: PathBuf,
    /// Folder to write the quantized model to, for `kiln predict`; without it the table is shown alone
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Folder of the data [default: as of `kiln train`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Batches of training data on which the ranges of the layers' inputs are measured
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count, default_value = "8")]
    pub(crate) batches: NonZeroUsize,
    /// Keep a layer in f32, by its name in the table; can be given several times
    #[arg(long, value_name = "LAYER")]
    pub(crate) keep: Vec<String>,
    /// Keep the N layers that bring the largest errors in f32
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) keep_worst: usize,
    /// Samples at a time [default: as of the run's training]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
