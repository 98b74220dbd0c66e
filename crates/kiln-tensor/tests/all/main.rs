//! The tests of tensors, one program.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is a test's report

mod axes;
mod conformance;
mod display;
mod errors;
mod integers;
#[cfg(any(feature = "ndarray", feature = "image"))]
mod interchange;
mod limits;
mod memory;
mod nearest;
mod npy;
mod plan;
mod profile;
mod random;
mod recurrent;
mod refusals;
mod views;
mod windows;
