//! The `kiln` command: a program that calls [`run`].

mod arguments;
mod confusion;
mod data;
mod devices;
mod drawing;
mod evaluate;
mod filters;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gan;
mod generate;
mod goal;
mod init;
mod log;
mod pictures;
mod places;
mod plot;
mod pool;
mod predict;
mod preview;
mod quantize;
mod recipes;
mod report;
mod run_folder;
mod runs;
mod settings;
mod signals;
mod summary;
mod sweep;
mod table;
mod train;
mod words;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use kiln::Result;
use std::process::ExitCode;

/// Does what the command line says, and gives the exit code.
pub fn run() -> ExitCode {
    // clap ends with exit code 2 where the arguments alone are wrong, 0 after --help.
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    let result = match Arguments::parse().command {
        Command::Init(command) => done(init::run(&command)),
        Command::Train(options) => train::run(&options),
        Command::FindLr(options) => train::find_lr(&options),
        Command::Evaluate(options) => done(evaluate::run(&options)),
        Command::Predict(options) => done(predict::run(&options)),
        Command::Quantize(options) => done(quantize::run(&options)),
        Command::Generate(options) => done(generate::run(&options)),
        Command::Plot(options) => done(plot::run(&options)),
        Command::Runs(options) => done(runs::run(&options)),
        Command::Sweep(options) => sweep::run(&options),
        Command::Summary(options) => done(summary::run(&options)),
        Command::Data(command) => done(data::run(&command)),
        Command::Devices => {
            devices::run();
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "kiln", &mut script);
            report::plain(String::from_utf8_lossy(&script).trim_end());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.and_then(|code| report::all_printed().map(|()| code)).unwrap_or_else(|error| {
        eprintln!("error: {}", words::of_command(&error.to_string()));
        ExitCode::FAILURE
    })
}
