//! The tasks on which Kiln is compared with other frameworks, each printing one JSON line in the form of `peers/`.

#[macro_use]
mod tasks;
mod timing;

use clap::{Parser, ValueEnum};
use kiln::Result;
use kiln::tensor::Device;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a task is given.
struct Setup {
    data: PathBuf,
    device: Device,
    epochs: usize,
    seed: u64,
    part: Option<String>,
}

macro_rules! tasks {
    ($({ $doc:literal, $task:ident, $file:ident, $run:expr, [$($script:literal),*] })+) => {
        $(mod $file;)+

        /// What is measured.
        #[derive(Clone, Copy, ValueEnum)]
        enum Task { $(#[doc = $doc] $task),+ }

        impl Task {
            fn measure(self, setup: &Setup) -> Result<serde_json::Value> {
                let run: fn(&Setup) -> Result<serde_json::Value> = match self { $(Task::$task => $run),+ };
                run(setup)
            }
        }
    };
}
for_each_task! { tasks }

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
    /// One part of a task that runs several in processes of their own
    #[arg(long)]
    part: Option<String>,
    /// Folder of the data: DIR/mnist/*-ubyte[.gz] [default: $KILN_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

fn run(arguments: &Arguments) -> Result<serde_json::Value> {
    let environment = || std::env::var_os("KILN_DATA_DIR").map_or_else(|| PathBuf::from("data"), PathBuf::from);
    let setup = Setup {
        data: arguments.data.clone().unwrap_or_else(environment),
        device: kiln::device(&arguments.device)?,
        epochs: arguments.epochs,
        seed: arguments.seed,
        part: arguments.part.clone(),
    };
    let mut line = arguments.task.measure(&setup)?;
    line["peer"] = format!("kiln {} {}", env!("CARGO_PKG_VERSION"), setup.device.name()).into();
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
