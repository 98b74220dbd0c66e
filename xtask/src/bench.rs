//! Measurements: one of Kiln's tasks, or all of them beside other frameworks.

use crate::peers;
use crate::shell::{self, Result, cargo, command, read_json, target};
use clap::ValueEnum;
use std::path::PathBuf;
use std::process::Command;

#[macro_use]
#[path = "../../benches/src/tasks.rs"]
mod list;

macro_rules! tasks {
    ($({ $doc:literal, $task:ident, $file:ident, $run:expr, [$($script:literal),*] })+) => {
        /// What is measured.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
        pub(crate) enum Task { $(#[doc = $doc] $task),+ }

        impl Task {
            /// The scripts in benches/peers that do the same in other frameworks.
            pub(crate) const fn scripts(self) -> &'static [&'static str] {
                match self { $(Task::$task => &[$($script),*]),+ }
            }
        }
    };
}
for_each_task! { tasks }

impl Task {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What to measure, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure this task of Kiln's
    #[arg(long, value_enum, required_unless_present = "peers")]
    task: Option<Task>,
    /// Print one JSON line
    #[arg(long)]
    json: bool,
    /// Where to compute
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Passes over the training data
    #[arg(long, default_value_t = 10)]
    pub(crate) epochs: usize,
    /// Folder of the data: DIR/mnist/*-ubyte[.gz] [default: $KILN_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Measure the task, or without one everything, with the other frameworks of this Python too, and print a table of ratios
    #[arg(long, value_name = "PYTHON")]
    pub(crate) peers: Option<PathBuf>,
    /// How often each side is measured, in turn
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Build and measure candle and burn too
    #[arg(long)]
    pub(crate) rust_peers: bool,
    /// Time clean builds too
    #[arg(long)]
    pub(crate) builds: bool,
    /// Write the table to benches/README.md
    #[arg(long)]
    pub(crate) write: bool,
}

/// Builds what is measured: `kiln-bench` and `kiln`.
pub(crate) fn build() -> Result<()> {
    shell::run(&mut cargo(&["build", "--release", "-p", "kiln-benches", "-p", "kiln-cli", "--bins"]))
}

/// A program of the release build.
pub(crate) fn program(name: &str) -> Command {
    command(&target().join("release").join(name).to_string_lossy(), &[])
}

impl Options {
    /// The command that measures a task of Kiln's.
    pub(crate) fn kiln(&self, task: Task, seed: usize) -> Command {
        let mut bench = program("kiln-bench");
        bench.args([&task.name(), "--device", &self.device]);
        bench.args(["--epochs", &self.epochs.to_string(), "--seed", &seed.to_string()]);
        if let Some(data) = &self.data {
            bench.arg("--data").arg(data);
        }
        bench
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    build()?;
    let task = match (options.task, &options.peers) {
        (None, _) => return peers::run(options),
        (Some(task), Some(_)) => return peers::compare(task, options),
        (Some(task), None) => task,
    };
    let line = read_json(&mut options.kiln(task, 0))?;
    if options.json {
        println!("{line}");
    } else if let Some(object) = line.as_object() {
        for (key, value) in object {
            match value.as_object() {
                Some(inner) => inner.iter().for_each(|(key, value)| println!("{key:28} {value}")),
                None => println!("{key:28} {value}"),
            }
        }
    }
    Ok(())
}
