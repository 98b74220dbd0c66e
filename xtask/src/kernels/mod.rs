//! The GPU kernels' PTX: built, compared with what is committed.

mod barriers;
mod build;
mod compiler;
mod ptx;

use crate::shell::{Result, root};
use compiler::Compiler;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The architectures that PTX is built for: every device of compute capability 8.0 or more, and Hopper with its own instructions.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90a"];

/// How, and what for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The compiler, which must have the source of core [default: Debian's, or rustup's nightly]
    #[arg(long)]
    rustc: Option<PathBuf>,
}

/// Where an architecture's PTX is committed.
fn path(architecture: &str) -> PathBuf {
    root().join("gpu-kernels/ptx").join(format!("{architecture}.ptx"))
}

/// The PTX that is committed; nothing where there is none.
fn committed() -> [String; 2] {
    ARCHITECTURES.map(|architecture| std::fs::read_to_string(path(architecture)).unwrap_or_default())
}

/// What can be told from a text alone.
fn examine(architecture: &str, text: &str) -> Result<()> {
    // Instructions have no slashes: what has one after the header is a comment or a file's name.
    if text.lines().skip(1).any(|line| line.contains('/')) {
        return Err(format!("{architecture}: the PTX holds a path or a comment"));
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
fn built(compiler: &Compiler) -> Result<Vec<String>> {
    let start = Instant::now();
    let texts = build::all(compiler, &ARCHITECTURES)?;
    let kernels = texts.first().map_or(0, |text| ptx::entries(text).len());
    let (names, seconds) = (ARCHITECTURES.join(" and "), start.elapsed().as_secs_f64());
    for (architecture, text) in ARCHITECTURES.iter().zip(&texts) {
        examine(architecture, text)?;
    }
    println!("{kernels} kernels for {names} in {seconds:.0} s by {}", compiler.version);
    Ok(texts)
}

/// Replaces what is committed.
fn write(texts: &[String]) -> Result<()> {
    for (architecture, text) in ARCHITECTURES.iter().zip(texts) {
        let path = path(architecture);
        let told = |error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(told)?;
        std::fs::write(&path, text).map_err(told)?;
        println!("gpu-kernels/ptx/{architecture}.ptx: {} KB", text.len() / 1000);
    }
    Ok(())
}

/// Builds the kernels and writes their PTX.
pub(crate) fn run(options: &Options) -> Result<()> {
    let committed = committed();
    let compiler = compiler::find(options.rustc.as_deref(), ptx::compiler(&committed[0]))?;
    write(&built(&compiler)?)
}
