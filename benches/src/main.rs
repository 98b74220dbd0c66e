//! The tasks on which Kiln is compared with other frameworks, each printing one JSON line in the form of `peers/`.

mod adam;
mod alexnet;
mod augment;
mod conv;
mod gemm;
mod mnist;
mod overhead;
mod rnn;
mod timing;

use clap::{Parser, ValueEnum};
use kiln::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is measured.
#[derive(Clone, Copy, ValueEnum)]
enum Task {
    /// The MNIST listing trained on the whole data set, with an evaluation after each epoch
    MnistMlp,
    /// Matrix products by shape, GFLOP/s
    Gemm,
    /// A training step of the AlexNet listing, batch 64
    AlexnetStep,
    /// Convolutions and their gradients one by one, milliseconds
    Conv,
    /// One step of Adam over 21.65 M parameters
    Adam,
    /// What a small operation costs, and a loop by hand beside `fit`
    Overhead,
    /// The AlexNet listing's augmentation of CIFAR-10's images, images a second
    Augment,
    /// One training step of recurrent layers by size, ms
    Rnn,
}

/// Kiln's side of the comparison with other frameworks.
#[derive(Parser)]
#[command(name = "kiln-bench")]
struct Arguments {
    /// What to measure
    #[arg(value_enum)]
    task: Task,
    /// Device to compute on
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Passes over the training data
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Seed of a training run
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of the data: DIR/mnist/*-ubyte[.gz] [default: $KILN_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<serde_json::Value> {
    let device = kiln::device(&arguments.device)?;
    let environment = || std::env::var_os("KILN_DATA_DIR").map_or_else(|| PathBuf::from("data"), PathBuf::from);
    let data = arguments.data.clone().unwrap_or_else(environment);
    let mut line = match arguments.task {
        Task::MnistMlp => mnist::fit(&data, &device, arguments.epochs, arguments.seed),
        Task::Gemm => gemm::rates(&device),
        Task::AlexnetStep => alexnet::step(&device),
        Task::Conv => conv::all(&device),
        Task::Adam => adam::step(&device),
        Task::Overhead => overhead::costs(&data, &device),
        Task::Augment => augment::rates(),
        Task::Rnn => rnn::steps(&device),
    }?;
    line["peer"] = format!("kiln {} {}", env!("CARGO_PKG_VERSION"), device.name()).into();
    Ok(line)
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
