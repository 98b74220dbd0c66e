//! The plain driver's program: `kiln-fuzz [--seconds N] [TARGET…]`.

use clap::{Parser, Subcommand};
use kiln_fuzz::driver::{attempt, fuzz, inputs, keep_panics, seeds, watch};
use kiln_fuzz::{TARGETS, Target, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Runs Kiln's fuzzing targets on their seeds and on random changes of them.
#[derive(Parser)]
#[command(name = "kiln-fuzz")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fuzz some targets, or all
    Run {
        /// For how long, each
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// What the random changes follow from
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Which
        #[arg(value_parser = named)]
        targets: Vec<Target>,
    },
    /// Run files once
    Replay {
        /// Which
        #[arg(value_parser = named)]
        target: Target,
        /// Inputs
        files: Vec<PathBuf>,
    },
    /// List the targets
    List,
    /// Write the seeds that the targets make
    Seeds,
}

fn named(name: &str) -> Result<Target, String> {
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    target(name).ok_or_else(|| format!("there are {}", known()))
}

fn main() -> ExitCode {
    let fine = match Arguments::parse().command {
        Command::Run { seconds, seed, targets } => run(Duration::from_secs_f64(seconds), seed, &targets),
        Command::Replay { target, files } => files.iter().all(|file| replay(&target, file)),
        Command::List => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            true
        }
        Command::Seeds => TARGETS.iter().all(write_seeds),
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(time: Duration, seed: u64, targets: &[Target]) -> bool {
    keep_panics();
    watch(|name, input, why| {
        found(name, input, why);
        std::process::exit(1);
    });
    let targets = if targets.is_empty() { TARGETS } else { targets };
    // All of them, also after one that found something.
    targets.iter().filter(|target| !one(target, time, seed)).count() == 0
}

fn one(target: &Target, time: Duration, seed: u64) -> bool {
    let name = target.name;
    let report = fuzz(target, &inputs(&seeds(name)), time, seed);
    let findings = usize::from(report.finding.is_some());
    println!("{name:<14} {:>9} executions {:>6.1} s  {findings} findings", report.executions, report.seconds);
    if let Some((input, why)) = &report.finding {
        found(name, input, why);
    }
    report.finding.is_none()
}

/// Says what went wrong, and keeps the input.
fn found(name: &str, input: &[u8], why: &str) {
    println!("    {name}: {}", why.replace('\n', "\n    "));
    let folder = Path::new("fuzz/artifacts").join(name);
    let number = fs::read_dir(&folder).map_or(0, Iterator::count);
    let file = folder.join(format!("plain-{number}"));
    match fs::create_dir_all(&folder).and_then(|()| fs::write(&file, input)) {
        Ok(()) => println!("    again: cargo run -p kiln-fuzz -- replay {name} {}", file.display()),
        Err(error) => println!("    {}: {error}", file.display()),
    }
}

fn replay(target: &Target, file: &Path) -> bool {
    keep_panics();
    let outcome = fs::read(file).map_err(|error| error.to_string()).and_then(|input| attempt(target, &input));
    match &outcome {
        Ok(()) => println!("{}: nothing is wrong", file.display()),
        Err(why) => println!("{}: {why}", file.display()),
    }
    outcome.is_ok()
}

fn write_seeds(target: &Target) -> bool {
    let folder = seeds(target.name);
    let written = fs::create_dir_all(&folder).and_then(|()| {
        (target.seeds)().iter().enumerate().try_for_each(|(i, seed)| fs::write(folder.join(format!("seed-{i}")), seed))
    });
    written.map_err(|error| println!("{}: {error}", folder.display())).is_ok()
}
