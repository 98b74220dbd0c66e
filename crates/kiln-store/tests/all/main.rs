//! The tests of run folders, one program.
#![allow(clippy::unwrap_used)] // a panic is a test's report

mod atomic;
mod crash;
mod generations;
mod looks;
