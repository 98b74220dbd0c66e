//! What the command takes.

mod find_lr;
mod generate;
mod help;
mod parsers;
mod quantize;
mod runs;
mod summary;
mod train;

pub(crate) use find_lr::FindLrOptions;
pub(crate) use generate::{GenerateOptions, TextOptions};
pub(crate) use parsers::Place;
pub(crate) use quantize::QuantizeOptions;
pub(crate) use runs::{Order, RunsCommand, RunsOptions, SweepOptions};
pub(crate) use summary::SummaryOptions;
pub(crate) use train::{Precision, Task, TrainOptions};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use help::*;
use kiln::datasets::Augmentation;
use parsers::{SET_OR_FOLDER, SET_OR_URL, augmentation, count, device, file_or_text, size, threads};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Kiln trains neural networks.
#[derive(Parser)]
#[command(name = "kiln", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Look at a table, pictures or texts and write settings for a model of them: a TOML file to begin with.
    #[command(subcommand, after_help = INIT_EXAMPLES)]
    Init(InitCommand),
    /// Train a recipe's model on its data, or a model of a user's data by a settings file.
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(TrainOptions),
    /// Find a learning rate: train a few steps with rates that grow, and draw the losses.
    #[command(name = "find-lr", after_help = FIND_LR_EXAMPLES)]
    FindLr(FindLrOptions),
    /// Measure a trained model on the test data: accuracy by class and a confusion matrix.
    #[command(after_help = EVALUATE_EXAMPLES)]
    Evaluate(EvaluateOptions),
    /// Say what a trained model makes of images, tables, texts or series.
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(PredictOptions),
    /// Compute a trained model by 8-bit integers: what each layer and the accuracy lose.
    #[command(after_help = QUANTIZE_EXAMPLES)]
    Quantize(QuantizeOptions),
    /// Let a model write text, one character after the other, or draw images.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateOptions),
    /// Draw the curves of one run or of several, one over the other, or a convolutional network's filters.
    Plot(PlotOptions),
    /// List the runs of a folder, or compare two of them.
    #[command(args_conflicts_with_subcommands = true, after_help = RUNS_EXAMPLES)]
    Runs(RunsOptions),
    /// Search settings: train a model many times with other values of some settings, in parallel processes.
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(SweepOptions),
    /// Show the layers of a recipe, a settings file or a trained model: shapes, parameters, memory, FLOPs.
    Summary(SummaryOptions),
    /// List the data sets that are known by name, fetch one, or draw some of its images.
    #[command(subcommand)]
    Data(DataCommand),
    /// List what `--device` can be.
    Devices,
    /// Print a script that completes this command's words in a shell.
    ///
    /// For bash: kiln completions bash > ~/.local/share/bash-completion/completions/kiln
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Subcommand)]
pub(crate) enum InitCommand {
    /// A table in a CSV file.
    Csv {
        /// The file.
        file: PathBuf,
        /// The column that a model is to predict
        #[arg(long, value_name = "COLUMN")]
        target: String,
        /// What stands between two values [default: a comma]
        #[arg(long, value_name = "CHARACTER")]
        delimiter: Option<String>,
        #[command(flatten)]
        options: InitOptions,
    },
    /// Texts: a CSV file with a column of texts and one of classes, or any other file as a text that a model is to go on with.
    Text {
        /// The file.
        file: PathBuf,
        /// Column of texts [default: the first that looks like it]
        #[arg(long, value_name = "COLUMN")]
        text: Option<String>,
        /// Column of classes [default: the first that looks like it]
        #[arg(long, value_name = "COLUMN")]
        target: Option<String>,
        #[command(flatten)]
        options: InitOptions,
    },
    /// Pictures: a folder with a subfolder for each class, or a CSV file with the columns path and label.
    Images {
        /// The folder, or the file.
        folder: PathBuf,
        #[command(flatten)]
        options: InitOptions,
    },
}

#[derive(Args)]
pub(crate) struct InitOptions {
    /// Settings file that is written [default: NAME.toml in the current folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// What there is, where it is looked for, and what is here.
    List {
        /// Folder that is looked in first
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Fetch a data set from its official mirrors, or any file from its address.
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch {
        /// Which one, or the address of a file
        #[arg(value_name = "NAME|URL", value_parser = SET_OR_URL)]
        what: String,
        /// SHA-256 of the file, as `sha256sum FILE` prints it
        #[arg(long, value_name = "SUM", requires = "name")]
        sha256: Option<String>,
        /// Folder of the file, inside of the folder of all data
        #[arg(long, value_name = "NAME", requires = "sha256")]
        name: Option<String>,
        /// Folder that it is put into [default: $KILN_DATA_DIR, or the user's cache folder]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Draw images of a data set or of a folder, a row for each class: as they are and as augmentation makes them.
    #[command(after_help = preview_help())]
    Preview(Box<PreviewOptions>),
}

#[derive(Args)]
pub(crate) struct PreviewOptions {
    /// Which one, or a folder with a subfolder of image files for each class
    #[arg(value_name = "NAME|DIR", value_parser = SET_OR_FOLDER)]
    pub(crate) name: String,
    /// Height and width that the image files of a folder are cropped and resized to [default: 84]
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = size)]
    pub(crate) size: Option<usize>,
    /// What is done to the images: words with commas between them, see below
    #[arg(long, value_name = "WORDS", value_parser = augmentation)]
    pub(crate) augment: Option<Augmentation>,
    /// PNG file that is drawn
    #[arg(long, value_name = "FILE", default_value = "preview.png")]
    pub(crate) out: PathBuf,
    /// Chooses the images, and what is drawn at random for them
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Folder of the data [default: $KILN_DATA_DIR, the user's cache folder; of MNIST the command carries a subset]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// What every command that computes takes.
#[derive(Args, Clone, Default)]
pub(crate) struct Computing {
    /// Threads to compute with [default: all]; the result does not depend on it
    #[arg(long, allow_negative_numbers = true, value_parser = threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Where to compute: cpu, sim (the GPU's kernels, simulated and checked: slow), cuda or cuda:N; see kiln devices
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(crate) device: Place,
}

/// How a trained run is opened.
#[derive(Args)]
pub(crate) struct Opening {
    /// Take the run's files as they are: changed since they were written, or without a manifest
    #[arg(long)]
    pub(crate) accept_changed: bool,
    #[command(flatten)]
    pub(crate) computing: Computing,
}

#[derive(Args)]
pub(crate) struct EvaluateOptions {
    /// Folder that `kiln train --out` has written.
    pub(crate) run: PathBuf,
    /// Folder of the data [default: as of `kiln train`]; of a user's own data another file or folder, all of which is measured
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Picture of the confusion matrix, a PNG file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Samples at a time [default: as of the run's training]; more need more memory
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PredictOptions {
    /// Folder that `kiln train --out` has written.
    pub(crate) run: PathBuf,
    /// Images or folders of them; CSV files of tables, texts and series; text files, a text a line; for models of texts also a text itself.
    #[arg(required = true, value_name = "FILE|TEXT", value_parser = file_or_text())]
    pub(crate) inputs: Vec<PathBuf>,
    /// Write the predictions into a file: CSV or JSON, by its ending
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Samples at a time [default: as of the run's training]; more need more memory
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) opening: Opening,
    /// Print one JSON object for each prediction
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PlotOptions {
    /// Folders that `kiln train --out` has written.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Take the runs' files as they are: changed since they were written, or without a manifest
    #[arg(long)]
    pub(crate) accept_changed: bool,
    /// PNG file that is drawn [default: curves.png, or filters.png]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Draw the filters of the first convolution instead, and feature maps of an image
    #[arg(long)]
    pub(crate) filters: bool,
    /// With --filters: the image, a PNG, JPEG, WebP or BMP file [default: the first of the test images]
    #[arg(long, value_name = "FILE", requires = "filters")]
    pub(crate) image: Option<PathBuf>,
    /// With --filters: folder of the data [default: as of `kiln train`]
    #[arg(long, value_name = "DIR", requires = "filters")]
    pub(crate) data: Option<PathBuf>,
}
