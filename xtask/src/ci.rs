//! What CI runs, here as there.

use crate::shell::{self, Result, cargo};
use crate::{fuzz, kernels, layers, readme, supply_chain};
use std::time::Instant;

/// Which part.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the steps whose name contains this
    #[arg(long)]
    only: Option<String>,
}

/// A name and what it does.
type CiStep = (&'static str, fn() -> Result<()>);

/// What is built for tests, always in this one form. With other packages or features named, cargo would choose other features of what
/// they stand on, and compile nearly everything again. Tests of the features that bring large crates are part of `interop`.
pub(crate) const TESTS: [&str; 2] = ["test", "--workspace"];

/// Where the random cases of tests begin: CI draws the same ones each time. `interop` draws new ones.
const SEED: (&str, &str) = ("PROPTEST_RNG_SEED", "1");

/// What runs of that build.
pub(crate) fn tests(which: &[&str]) -> Result<()> {
    shell::run(cargo(&TESTS).args(which).env(SEED.0, SEED.1))
}

const DENIED: [&str; 4] = ["--all-targets", "--", "-D", "warnings"];

const STEPS: &[CiStep] = &[
    ("format", || shell::run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("layers", layers::run),
    ("supply chain", supply_chain::ci),
    // With everything that is behind features. The tests compile what is without.
    ("lints", || shell::run(cargo(&["clippy", "--workspace", "--all-features"]).args(DENIED))),
    // Without image files, as in a program that takes the library alone.
    ("features", || shell::run(&mut cargo(&["check", "-p", "kiln-datasets"]))),
    ("kernels", kernels::ci),
    // All that fail, not the first alone.
    ("tests", || tests(&["--no-fail-fast"])),
    ("fuzz", fuzz::ci),
    // Without a card, a driver or a toolkit: most runs with the tests, against a stand-in for the driver.
    ("cuda", || tests(&["--test", "outside", "--", "--ignored"])),
    ("documentation", || {
        // With all features, as the lints, whose output it reads.
        shell::run(cargo(&["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("README", readme::ci),
];

fn run_step(name: &str, step: fn() -> Result<()>) -> Result<f64> {
    eprintln!("\n== {name}");
    let start = Instant::now();
    step().map_err(|error| format!("{name}: {error}"))?;
    Ok(start.elapsed().as_secs_f64())
}

fn run_all(steps: &[CiStep]) -> Result<()> {
    let start = Instant::now();
    let mut times = Vec::new();
    for (name, step) in steps {
        times.push(format!("{name} {:.0} s", run_step(name, *step)?));
    }
    println!("\nci: all {} steps passed in {:.0} s ({})", steps.len(), start.elapsed().as_secs_f64(), times.join(", "));
    Ok(())
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |name: &str| options.only.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let steps: Vec<CiStep> = STEPS.iter().copied().filter(|(name, _)| wanted(name)).collect();
    if steps.is_empty() {
        return Err(format!("no step is called {:?}", options.only.as_deref().unwrap_or_default()));
    }
    run_all(&steps)
}
