//! What CI runs, here as there.

use crate::shell::{self, Result, cargo};
use crate::{asan, fuzz, kernels, layers, outside, readme, supply_chain};
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

const STEPS: &[CiStep] = &[
    ("format", || shell::run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("layers", layers::run),
    ("supply chain", supply_chain::ci),
    ("lints", || shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))),
    ("kernels", kernels::ci),
    // The README's second command.
    ("tests", || shell::run(&mut cargo(&["test", "--workspace"]))),
    // What is behind features that bring crates along.
    ("features", || {
        let crates =
            ["-p", "kiln-tensor", "-p", "kiln-autograd", "--features", "linalg,kiln-tensor/ndarray,kiln-tensor/image"];
        shell::run(cargo(&["clippy"]).args(crates).args(["--all-targets", "--", "-D", "warnings"]))?;
        for tests in [&["--test", "all"][..], &["--doc"]] {
            shell::run(cargo(&["test"]).args(crates).args(tests).args(["--", "linalg", "interchange"]))?;
        }
        // Image files: without them, as in a program that takes the library alone; and with GIF.
        shell::run(&mut cargo(&["clippy", "-p", "kiln-datasets", "--all-targets", "--", "-D", "warnings"]))?;
        shell::run(&mut cargo(&["test", "-p", "kiln-datasets", "--features", "gif", "--test", "all", "pictures"]))
    }),
    ("fuzz", fuzz::ci),
    // Without a card, a driver or a toolkit: against a stand-in for the driver, and from a crate outside the workspace.
    ("cuda", || {
        let features = ["-p", "kiln-cuda", "-p", "kiln-cuda-shim", "--features", "kiln-cuda/cuda"];
        shell::run(cargo(&["test"]).args(features))?;
        let long = ["test", "-p", "kiln-cuda", "--features", "sim", "--test", "all", "composed_forms_conform"];
        shell::run(cargo(&long).args(["--", "--ignored"]))?;
        shell::run(&mut cargo(&["test", "-p", "kiln-cli", "--features", "cuda", "--test", "all", "without_a_driver"]))?;
        shell::run(cargo(&["test", "--test", "outside"]).args(&features[..2]).args([
            "--features",
            "cuda",
            "--",
            "--ignored",
        ]))
    }),
    ("custom operation", outside::ci),
    ("documentation", || shell::run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))),
    ("sanitizer", asan::run),
    ("README", readme::run),
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
