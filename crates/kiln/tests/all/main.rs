//! The tests of the facade, one program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod generate;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod gpu;
mod graphs;
mod hub;
mod interop;
mod lists;
mod opinfo;
mod profile;
mod reports;
mod smoke;
mod translate;
