//! All that a machine with a GPU and without Rust needs to test Kiln there: one folder, one script, one summary.

use crate::outside;
use crate::shell::{Result, cargo, command, read, root, run, target};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the folder is to be.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder to put it in; made anew
    #[arg(long, value_name = "DIR")]
    package: PathBuf,
}

/// The script that runs everything there.
const SCRIPT: &str = include_str!("gpu_tests.sh");

/// The test programs that these arguments build: name and path.
fn test_programs(arguments: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let mut build = cargo(&["test", "--release", "--no-run", "--message-format=json-render-diagnostics"]);
    let messages = read(build.args(arguments).env("CARGO_TARGET_DIR", target()))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = messages.filter(|message| message["profile"]["test"] == true).filter_map(|message| {
        let package = message["package_id"].as_str()?.split(['#', '@']).next()?.rsplit('/').next()?.to_owned();
        let name = format!("{package}-{}", message["target"]["name"].as_str()?);
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    });
    Ok(programs.collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

/// Makes a program smaller, where there is a tool for it.
fn strip(program: &Path) {
    // A program with its symbols is as good: nothing is lost where this fails.
    let _ = command("strip", &[]).arg(program).status();
}

pub(crate) fn package(options: &Options) -> Result<()> {
    let folder = root().join(&options.package);
    let made = |path: &Path| fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()));
    if folder.exists() {
        if !folder.join("run.sh").is_file() && folder.read_dir().is_ok_and(|mut files| files.next().is_some()) {
            return Err(format!("{}: this folder holds something else; name a new one", folder.display()));
        }
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    for part in ["tests", "bin", "ptx"] {
        made(&folder.join(part))?;
    }
    let example = format!("{}/Cargo.toml", outside::FOLDER);
    let tests = [
        ["-p", "kiln-cuda", "--features", "kiln-cuda/cuda,kiln-cuda/sim", "--tests"],
        ["-p", "kiln-cuda-shim", "--features", "", "--tests"],
        ["-p", "kiln", "--features", "kiln/cuda,kiln/sim", "--test=all"],
        ["--manifest-path", &example, "--features", "cuda", "--test=op"],
    ];
    for arguments in tests {
        // A test that builds a crate needs Rust.
        for (name, program) in test_programs(&arguments)?.into_iter().filter(|(name, _)| !name.ends_with("-outside")) {
            let to = folder.join("tests").join(name);
            copy(&program, &to)?;
            strip(&to);
        }
    }
    run(&mut cargo(&["build", "--release", "-p", "kiln-cli", "--features", "kiln-cli/cuda"]))?;
    run(&mut cargo(&["build", "--release", "-p", "kiln-benches", "--bins", "--features", "kiln-benches/cuda"]))?;
    for program in ["kiln", "kiln-bench"] {
        let to = folder.join("bin").join(program);
        copy(&target().join("release").join(program), &to)?;
        strip(&to);
    }
    let ptx = root().join("gpu-kernels/ptx");
    for file in ptx.read_dir().map_err(|error| format!("{}: {error}", ptx.display()))?.flatten() {
        copy(&file.path(), &folder.join("ptx").join(file.file_name()))?;
    }
    let script = folder.join("run.sh");
    fs::write(&script, SCRIPT).map_err(|error| format!("{}: {error}", script.display()))?;
    run(command("chmod", &["+x"]).arg(&script))?;
    println!("{}: take it to a machine with an NVIDIA card and run `sh run.sh [DATA]` there", folder.display());
    Ok(())
}
