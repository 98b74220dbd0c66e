//! What the commands of many runs take.

use super::parsers::{Place, count, device, threads};
use clap::{Args, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct RunsOptions {
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// Folder in which runs are looked for, up to four folders deep
    #[arg(value_name = "DIR", default_value = "runs")]
    pub(crate) folder: PathBuf,
    /// Which run comes first
    #[arg(long, value_enum, default_value_t = Order::Name)]
    pub(crate) sort: Order,
    /// Number whose best value is listed, such as val_loss [default: the first metric, of the validation where there is one]
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Option<String>,
    /// Read all files and compare their checksums; without it only the manifest is read, and the files' lengths are compared
    #[arg(long)]
    pub(crate) check: bool,
    /// Print one JSON object for each run
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct SweepOptions {
    /// Settings file of the sweep: what is searched, and how
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Folder of the sweep, with a folder for each trial [default: runs/NAME of the file]; a sweep that is there goes on
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Trials that are trained at the same time [default: the file's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) parallel: Option<NonZeroUsize>,
    /// Threads of each trial [default: the file's, or all, shared evenly]; the result does not depend on it
    #[arg(long, allow_negative_numbers = true, value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where to compute: cpu, sim, cuda or cuda:N; see kiln devices
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(crate) device: Place,
    /// Folder of the data [default: as of `kiln train`]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON object a line: one for each trial that ends, then the result
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum RunsCommand {
    /// Show the settings that differ between two runs, and their results side by side.
    Diff {
        /// Folder of a run.
        #[arg(value_name = "RUN")]
        first: PathBuf,
        /// Folder of another run.
        #[arg(value_name = "RUN")]
        second: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The order of a list of runs.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Order {
    /// By their names
    Name,
    /// The one that was saved last comes first
    Time,
    /// The one with the best value of its metric comes first
    Metric,
}
