//! Fuzzing: with libFuzzer where that can be built, else with the plain driver.

use crate::ci;
use crate::shell::{self, Result, cargo, command, found, root, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

/// The one target whose standard library is shipped with the sanitizer's run-time.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What finds overruns (with buffers of exact sizes), and what tells libFuzzer which code an input reaches: cargo-fuzz's flags.
const FLAGS: &str = "-Zsanitizer=address --cfg kiln_exact_alloc -Cpasses=sancov-module -Ccodegen-units=1 \
                     -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// For how long, what, and how.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long, each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Without libFuzzer: random changes of the seeds, on the stable compiler
    #[arg(long)]
    plain: bool,
    /// What the random changes follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which, or all
    targets: Vec<String>,
}

/// What CI does: the plain driver, for a second and a half a target, always with the same inputs first. It is the program that the
/// tests have built.
pub(crate) fn ci() -> Result<()> {
    ci::tests(&["--test", "seeds", "--no-run"])?;
    let program = target().join("debug/kiln-fuzz");
    shell::run(&mut command(&program.to_string_lossy(), &["run", "--seconds", "1.5", "--seed", "1"]))
}

/// Fuzzes, and fails where something was found.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.plain || !libfuzzer_can_be_built() {
        return plain(&options.seconds.to_string(), &options.seed.to_string(), &options.targets);
    }
    let known = names()?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        return Err(format!("there is no target {unknown}: there are {}", known.join(", ")));
    }
    let targets = if options.targets.is_empty() { known } else { options.targets.clone() };
    build(&targets)?;
    let mut failed = Vec::new();
    for target in targets {
        if !one(&target, options)? {
            failed.push(target);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("something was found by {}", failed.join(", "))) }
}

/// libFuzzer is C++, and the sanitizer's run-time comes with one target's standard library.
fn libfuzzer_can_be_built() -> bool {
    let compiler = ["c++", "g++", "clang++"].into_iter().any(found);
    let here = cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"));
    if !(compiler && here) {
        println!("fuzz: the plain driver; libFuzzer needs {TRIPLE} and a C++ compiler");
    }
    compiler && here
}

/// The plain driver, built as all else is.
fn plain(seconds: &str, seed: &str, targets: &[String]) -> Result<()> {
    let words = ["run", "--quiet", "-p", "kiln-fuzz", "--", "run", "--seconds", seconds, "--seed", seed];
    shell::run(cargo(&words).args(targets))
}

/// The names of all targets.
fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets")).map_err(|error| format!("fuzz_targets: {error}"))? {
        let path = entry.map_err(|error| format!("fuzz_targets: {error}"))?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// The programs of these targets. The stable toolchain ships the sanitizer's run-time; only the flag that links it is held back,
/// hence the bootstrap variable.
fn build(targets: &[String]) -> Result<()> {
    let mut build = cargo(&["build", "--release", "--target", TRIPLE]);
    build.current_dir(root().join("fuzz")).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS);
    build.env("CARGO_TARGET_DIR", root().join("fuzz/target"));
    for target in targets {
        build.args(["--bin", target]);
    }
    shell::run(&mut build)
}

/// A folder of a target, made where it is not there.
fn folder(kind: &str, target: &str) -> Result<PathBuf> {
    let folder = Path::new("fuzz").join(kind).join(target);
    fs::create_dir_all(root().join(&folder)).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| folder.join(entry.file_name())).collect();
    files.sort();
    files
}

/// Runs a target and prints what came of it in a line; whether nothing was found.
fn one(target: &str, options: &Options) -> Result<bool> {
    let (corpus, artifacts) = (folder("corpus", target)?, folder("artifacts", target)?);
    let program = format!("fuzz/target/{TRIPLE}/release/{target}");
    let (before, start) = (files(&artifacts), Instant::now());
    let log = artifacts.with_extension("log");
    let output = fs::File::create(root().join(&log)).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut fuzzer = command(&root().join(&program).to_string_lossy(), &[]);
    fuzzer.args([&corpus, &Path::new("fuzz/seeds").join(target)]);
    fuzzer.arg(format!("-max_total_time={}", options.seconds)).arg(format!("-seed={}", options.seed));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
    // No input of 4 KB needs half a gigabyte or ten seconds.
    fuzzer.args(["-max_len=4096", "-malloc_limit_mb=512", "-rss_limit_mb=3072", "-timeout=10", "-print_final_stats=1"]);
    // The allocator of tensors keeps what it has.
    fuzzer.env("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1");
    let status = fuzzer.stdout(Stdio::null()).stderr(output).status();
    let status = status.map_err(|error| format!("{program} could not be started: {error}"))?;
    let found: Vec<PathBuf> = files(&artifacts).into_iter().filter(|file| !before.contains(file)).collect();
    let findings = found.len().max(usize::from(!status.success()));
    let text = fs::read(root().join(&log)).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    let executions = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!(
        "{target:<14} {:>9} executions {:>6.1} s  {findings} findings",
        executions.map_or("?", str::trim),
        start.elapsed().as_secs_f64()
    );
    if findings == 0 {
        return Ok(true);
    }
    let why = text.lines().skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: "));
    why.take(3).for_each(|line| println!("    {line}"));
    println!("    all of it: {}", log.display());
    found.iter().for_each(|file| println!("    again: {program} {}", file.display()));
    Ok(false)
}
