//! Kiln's driver: `cargo xtask <command>`.

mod asan;
mod bench;
mod budget;
mod ci;
mod embed;
mod fuzz;
mod gpu_tests;
mod interop;
mod kernels;
mod layers;
mod neon;
mod outside;
mod peers;
mod readme;
mod shell;
mod supply_chain;
mod table;
mod torture;
mod trees;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Kiln's driver: what CI runs, checks, measurements.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All that CI runs: format, layers, lints, the kernels' PTX, tests, documentation, README commands
    Ci(ci::Options),
    /// Prove that crates depend downward only and that their dependency trees are within their budgets
    CheckLayers,
    /// Check licenses, sources, banned crates and several versions of one crate among all dependencies
    SupplyChain(supply_chain::Options),
    /// Run kiln-cpu's and kiln-tensor's tests under AddressSanitizer
    Asan,
    /// Give parsers and programs over tensors inputs at random, with libFuzzer and AddressSanitizer where they can be built
    Fuzz(fuzz::Options),
    /// Kill trainings and let their files fail: each must end with the bits of one that was left alone
    Torture(torture::Options),
    /// Run the instruction-set tests of kiln-math and kiln-cpu for AArch64 under qemu
    Neon,
    /// Run the commands of README.md
    Readme,
    /// Make the MNIST subset that kiln-datasets carries from the real files
    EmbedMnist(embed::Options),
    /// Compile the GPU kernels to PTX and write it, or --check it; --report tells what their machine code takes
    BuildKernels(kernels::Options),
    /// Time clean release builds of the library and the command against their budgets
    Budget,
    /// Put all that tests Kiln on a GPU machine without Rust into one folder
    GpuTests(gpu_tests::Options),
    /// Check what CI leaves out: other frameworks' files and numbers, all features, the sanitizer, the release build
    Interop(interop::Options),
    /// Measure a task, or with --peers everything beside other frameworks
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Ci(options) => ci::run(&options),
        Command::CheckLayers => layers::run(),
        Command::SupplyChain(options) => supply_chain::run(&options),
        Command::Asan => asan::run(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Torture(options) => torture::run(&options),
        Command::Neon => neon::run(),
        Command::Readme => readme::run(),
        Command::EmbedMnist(options) => embed::run(&options),
        Command::BuildKernels(options) => kernels::run(&options),
        Command::Budget => budget::run().map(|_| ()),
        Command::GpuTests(options) => gpu_tests::package(&options),
        Command::Interop(options) => interop::run_all(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
