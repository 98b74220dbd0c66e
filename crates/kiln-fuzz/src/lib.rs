//! What is fuzzed in Kiln: for each parser, and for random programs over tensors, a function of bytes. It panics where
//! something is wrong: that is the finding.
//!
//! The functions are called in two ways: by the plain driver ([`driver`]), which mutates the seeds at random and needs nothing
//! but the stable compiler, and by libFuzzer from the folder `fuzz`, which is led by what code an input reaches and sees
//! overruns with AddressSanitizer. `cargo xtask fuzz` runs either; fuzz/README.md says more.

// A panic is how a target reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archives;
mod arguments;
mod arrays;
mod command;
pub mod driver;
mod files;
mod graphs;
mod models;
mod mutate;
mod programs;
mod scratch;
mod source;
mod tables;
mod texts;

/// A function of bytes, by name, and what fuzzing starts from.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As on the command line, and the name of its folder of seeds.
    pub name: &'static str,
    /// Panics where something is wrong.
    pub run: fn(&[u8]),
    /// Inputs that get far.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something to the parser.
    pub words: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    files::IDX,
    files::CIFAR,
    files::EMNIST,
    archives::ARCHIVE,
    arrays::NPY,
    arrays::NPZ,
    arrays::EINSUM,
    tables::CSV,
    texts::TEXT,
    texts::TOKENIZER,
    models::SAFETENSORS,
    models::ARCHITECTURE,
    graphs::GRAPH,
    arguments::WORDS,
    command::IMAGE,
    command::RUN,
    programs::TENSOR,
    programs::VAR,
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Runs the target of this name on an input: what a program for libFuzzer is made of.
///
/// # Panics
/// Where something is wrong, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    (target(name).expect("a target").run)(input);
}
