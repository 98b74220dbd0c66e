//! The GPU kernels' PTX: built, compared with what is committed, assembled, examined.

mod barriers;
mod build;
mod compiler;
mod machine;
mod ptx;
mod report;
mod source;
mod tools;

use crate::outside;
use crate::shell::{Result, root};
use compiler::Compiler;
use machine::Codes;
use source::Source;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tools::Tools;

/// The architectures that PTX is built for: every device of compute capability 8.0 or more, and Hopper with its own instructions.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90a"];

/// Faults that are told; more of them have one cause.
const SHOWN: usize = 10;

/// How, and what for.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// The folder of a crate with kernels of its own, whose PTX goes to its folder ptx [default: Kiln's kernels]
    #[arg(long = "crate", value_name = "PATH")]
    outside: Option<PathBuf>,
    /// The compiler, which must have the source of core [default: Debian's, or rustup's nightly]
    #[arg(long)]
    rustc: Option<PathBuf>,
    /// Write nothing: fail where what is committed is not what its source gives, or its machine code has flaws
    #[arg(long)]
    check: bool,
    /// Print each kernel's registers, shared memory and instructions
    #[arg(long)]
    report: bool,
    /// Leave the machine code alone where ptxas and cuobjdump are not here, rather than install them by pip
    #[arg(long)]
    no_install: bool,
}

/// What can be told from a text alone.
fn examine(architecture: &str, text: &str) -> Result<()> {
    // Instructions have no slashes: what has one after the header is a comment or a file's name.
    if text.lines().skip(1).any(|line| line.contains('/')) {
        return Err(format!("{architecture}: the PTX holds a path or a comment"));
    }
    let local = ptx::local(text);
    if !local.is_empty() {
        let kernels = local.join(", ");
        return Err(format!("{architecture}, {kernels}: an array is in local memory: it is indexed by a variable"));
    }
    match ptx::entries(text).iter().find(|entry| barriers::exclude_each_other(entry)) {
        Some(entry) => Err(format!(
            "{architecture}, {}: two barriers stand on paths that exclude each other; write a barrier once, where the \
             paths have met",
            entry.name
        )),
        None => Ok(()),
    }
}

/// The PTX of every architecture, as a compiler builds it; it has passed [`examine`].
fn built(source: &Source, compiler: &Compiler) -> Result<Vec<String>> {
    let start = Instant::now();
    let texts = build::all(source, compiler, &ARCHITECTURES)?;
    let kernels = texts.first().map_or(0, |text| ptx::entries(text).len());
    let (names, seconds) = (ARCHITECTURES.join(" and "), start.elapsed().as_secs_f64());
    for (architecture, text) in ARCHITECTURES.iter().zip(&texts) {
        examine(architecture, text)?;
    }
    let noun = if kernels == 1 { "kernel" } else { "kernels" };
    println!("{}: {kernels} {noun} for {names} in {seconds:.0} s by {}", source.package, compiler.version);
    Ok(texts)
}

/// Replaces what is committed.
fn write(source: &Source, texts: &[String]) -> Result<()> {
    for (architecture, text) in ARCHITECTURES.iter().zip(texts) {
        let path = source.path(architecture);
        let told = |error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(told)?;
        std::fs::write(&path, text).map_err(told)?;
        println!("{}: {} KB", source.shown(architecture), text.len().div_ceil(1000));
    }
    Ok(())
}

/// Compares what is committed with what the compiler gives, byte for byte if it is the compiler that gave what is committed.
fn compare(source: &Source, committed: &[String], compiler: &Compiler) -> Result<()> {
    for (architecture, (was, is)) in ARCHITECTURES.iter().zip(committed.iter().zip(&built(source, compiler)?)) {
        let stale = |what: String| {
            let (file, again) = (source.shown(architecture), source.again());
            format!("{file} is not what its source gives: {what}; run `{again}`")
        };
        let [was_names, is_names] =
            [was, is].map(|text| ptx::entries(text).iter().map(|entry| entry.name).collect::<BTreeSet<_>>());
        if let Some(name) = was_names.symmetric_difference(&is_names).next() {
            return Err(stale(format!("{name} is in one of them only")));
        }
        examine(architecture, was)?;
        let recorded = ptx::compiler(was).unwrap_or("an unknown compiler");
        if recorded != compiler.version {
            println!("{architecture}: not compared byte for byte, since it was made by {recorded}");
        } else if let Some(line) = was.lines().zip(is.lines()).position(|(was, is)| was != is) {
            return Err(stale(format!("they differ from line {} on", line + 1)));
        } else if was != is {
            return Err(stale("they end differently".to_owned()));
        }
    }
    Ok(())
}

/// The machine code of each architecture, without flaws.
fn machine_code(texts: &[String], tools: &Tools) -> Result<Vec<(&'static str, Codes)>> {
    let mut all = Vec::new();
    let mut faults = Vec::new();
    for (architecture, text) in ARCHITECTURES.into_iter().zip(texts) {
        let codes = machine::assemble(tools, architecture, text)?;
        faults.extend(machine::faults(architecture, &codes));
        all.push((architecture, codes));
    }
    if faults.is_empty() {
        return Ok(all);
    }
    let more = faults.len().saturating_sub(SHOWN);
    faults.truncate(SHOWN);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Err(faults.join("\n"))
}

/// Builds the kernels, then writes or compares their PTX, then looks at the machine code.
pub(crate) fn run(options: &Options) -> Result<()> {
    let source = options.outside.as_deref().map_or_else(Source::own, Source::of)?;
    let mut texts = source.committed().to_vec();
    let compiler = compiler::find(options.rustc.as_deref(), ptx::compiler(&texts[0]))?;
    if options.check {
        compare(&source, &texts, &compiler)?;
    } else {
        texts = built(&source, &compiler)?;
        write(&source, &texts)?;
    }
    if !options.check && !options.report {
        return Ok(());
    }
    match tools::find(!options.no_install) {
        Ok(tools) => {
            let codes = machine_code(&texts, &tools)?;
            println!("machine code: no spills, no stack frames, no generic addresses, no warnings");
            if options.report {
                print!("{}", report::table(&texts, &codes));
            }
            Ok(())
        }
        // A report was asked for; a check has done what could be done.
        Err(reason) if options.report => Err(reason),
        Err(reason) => {
            println!("machine code: skipped; {reason}");
            Ok(())
        }
    }
}

/// CI's check, or why there is none: a machine without a compiler for the device still builds and tests everything else.
pub(crate) fn ci() -> Result<()> {
    match compiler::find(None, None) {
        Ok(_) => [None, Some(root().join(outside::FOLDER))]
            .into_iter()
            .try_for_each(|outside| run(&Options { outside, check: true, ..Options::default() })),
        Err(reason) if compiler::is_named() => Err(reason),
        Err(reason) => {
            println!("kernels: skipped; {reason}");
            Ok(())
        }
    }
}
