//! The tests of the backend, one program. outside.rs is another: it needs Rust, so `cargo xtask gpu-tests` leaves it out.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is a test's report

#[cfg(any(feature = "cuda", feature = "sim"))]
mod bits;
#[cfg(feature = "cuda")]
mod card;
#[cfg(feature = "sim")]
mod custom;
#[cfg(feature = "sim")]
mod faults;
#[cfg(feature = "sim")]
mod indexing;
#[cfg(feature = "sim")]
mod launches;
#[cfg(feature = "sim")]
mod simulator;
#[cfg(any(feature = "cuda", feature = "sim"))]
mod windows;
