//! Checks that CI leaves out: Kiln and the frameworks that it exchanges files and numbers with, the tests of all features,
//! the release build and AddressSanitizer.

use crate::shell::{Result, cargo, command, root, run, target};
use crate::{asan, ci, outside, readme, torture};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// With which Python, and which part.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A Python that has the packages of xtask/interop/requirements.txt; without it, a virtual environment is made in the target folder
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Only the checks whose name contains this
    #[arg(long)]
    only: Option<String>,
}

/// What a check needs and does.
enum Check {
    /// Nothing but Rust.
    Rust(fn() -> Result<()>),
    /// A Python, and an empty folder.
    Python(fn(&Path, &Path) -> Result<()>),
}
use Check::{Python, Rust};

const CHECKS: &[(&str, Check)] = &[
    ("features", Rust(features)),
    ("README", Rust(readme::run)),
    ("sanitizer", Rust(asan::run)),
    ("torture", Rust(torture::short)),
    ("custom operation", Rust(outside::check)),
    // Every operation made of fine ones, on the simulator.
    ("composed forms", Rust(|| ci::tests(&["--test", "all", "composed_forms_conform", "--", "--ignored"]))),
    ("models", Python(models)),
    ("numpy", Python(numpy)),
    ("tensorboard", Python(tensorboard)),
    ("fixtures", Python(fixtures)),
];

/// All tests with all features: CI leaves out those that bring large crates, such as linear algebra, Parquet and tokenizers.
/// Random cases are new ones in each run.
fn features() -> Result<()> {
    run(cargo(&["test", "--workspace", "--all-features"]).env("CARGO_INCREMENTAL", "0"))
}

/// Kiln's weights in PyTorch's modules: the same outputs.
fn models(python: &Path, folder: &Path) -> Result<()> {
    let test = ["test", "-q", "-p", "kiln", "--test", "all", "interop::interop", "--", "--ignored", "--exact"];
    run(cargo(&test).env("KILN_INTEROP_DIR", folder))?;
    run(Command::new(python).arg("xtask/interop/models.py").arg(folder).current_dir(root()))
}

/// Kiln's .npy and .npz files in NumPy: the same arrays.
fn numpy(python: &Path, folder: &Path) -> Result<()> {
    let test = ["test", "-q", "-p", "kiln-datasets", "--test", "all", "numpy::interop", "--", "--ignored", "--exact"];
    run(cargo(&test).env("KILN_INTEROP_DIR", folder))?;
    run(Command::new(python).arg("xtask/interop/npy.py").arg(folder).current_dir(root()))
}

/// Kiln's event files in TensorBoard: the same numbers as in its JSON lines.
fn tensorboard(python: &Path, folder: &Path) -> Result<()> {
    let test = ["test", "-q", "-p", "kiln-train", "--test", "all", "logs::interop", "--", "--ignored", "--exact"];
    run(cargo(&test).env("KILN_INTEROP_DIR", folder))?;
    run(Command::new(python).arg("xtask/interop/event_files.py").arg(folder).current_dir(root()))
}

/// The fixtures' scripts, run again in a copy of their folder: the committed files must say the same.
fn fixtures(python: &Path, folder: &Path) -> Result<()> {
    let (scripts, copies) = (root().join("xtask/fixtures"), folder.join("xtask/fixtures"));
    fs::create_dir_all(&copies).map_err(|error| format!("{}: {error}", copies.display()))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&scripts).map_err(|error| format!("{}: {error}", scripts.display()))?.flatten() {
        let name = entry.file_name();
        fs::copy(entry.path(), copies.join(&name)).map_err(|error| format!("{}: {error}", entry.path().display()))?;
        names.push(name);
    }
    names.sort();
    // Scripts write beside the tests, whose folders are there already.
    let crates = root().join("crates");
    for entry in fs::read_dir(&crates).map_err(|error| format!("{}: {error}", crates.display()))?.flatten() {
        let made = folder.join("crates").join(entry.file_name()).join("tests/fixtures/models");
        fs::create_dir_all(&made).map_err(|error| format!("{}: {error}", made.display()))?;
        // What is inside of the library is read by some, and written by others.
        let embedded = entry.path().join("src/embedded");
        let copy = folder.join("crates").join(entry.file_name()).join("src/embedded");
        for file in fs::read_dir(&embedded).into_iter().flatten().flatten() {
            let copied = fs::create_dir_all(&copy).and_then(|()| fs::copy(file.path(), copy.join(file.file_name())));
            copied.map_err(|error| format!("{}: {error}", copy.display()))?;
        }
    }
    let mut failed = Vec::new();
    for name in names.iter().filter(|name| name.to_string_lossy().ends_with(".py")) {
        let mut script = Command::new(python);
        script.arg(copies.join(name)).current_dir(folder).env("PYTHONWARNINGS", "ignore");
        if run(&mut script).is_err() {
            failed.push(name.to_string_lossy().into_owned());
        }
    }
    run(Command::new(python).arg("xtask/interop/same.py").arg(folder).arg(root()).current_dir(root()))?;
    if failed.is_empty() { Ok(()) } else { Err(format!("these scripts did not run: {}", failed.join(", "))) }
}

/// The Python of a virtual environment with all packages, made where there is none yet.
fn own_python() -> Result<PathBuf> {
    let place = target().join("interop-python");
    let python = place.join("bin/python");
    if !python.is_file() {
        run(command("python3", &["-m", "venv"]).arg(&place))?;
    }
    run(&mut command(
        &python.to_string_lossy(),
        &["-m", "pip", "install", "-q", "-r", "xtask/interop/requirements.txt"],
    ))?;
    Ok(python)
}

/// An empty folder for a check.
fn empty_folder(name: &str) -> Result<PathBuf> {
    let folder = target().join("interop").join(name);
    let told = |error| format!("{}: {error}", folder.display());
    if folder.is_dir() {
        fs::remove_dir_all(&folder).map_err(told)?;
    }
    fs::create_dir_all(&folder).map_err(told)?;
    Ok(folder)
}

pub(crate) fn run_all(options: &Options) -> Result<()> {
    let wanted = |name: &str| options.only.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let checks: Vec<_> = CHECKS.iter().filter(|(name, _)| wanted(name)).collect();
    if checks.is_empty() {
        return Err(format!("no check is called {:?}", options.only.as_deref().unwrap_or_default()));
    }
    let mut python = options.python.clone();
    for (name, check) in &checks {
        eprintln!("\n== {name}");
        let done = match check {
            Rust(check) => check(),
            Python(check) => {
                let found = python.take().map_or_else(own_python, Ok)?;
                check(python.insert(found), &empty_folder(name)?)
            }
        };
        done.map_err(|error| format!("{name}: {error}"))?;
    }
    println!("\ninterop: all {} checks passed", checks.len());
    Ok(())
}
