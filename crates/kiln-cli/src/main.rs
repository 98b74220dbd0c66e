//! The `kiln` command.

mod arguments;
mod data;
mod places;
mod recipes;
mod report;
mod train;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap ends with exit code 2 where the arguments alone are wrong, 0 after --help.
    let result = match Arguments::parse().command {
        Command::Train(options) => train::run(&options),
        Command::Data(command) => data::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
