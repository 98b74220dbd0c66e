//! The tests of the optimizers, one program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod clip;
mod groups;
mod naive;
mod pytorch;
mod schedules;
mod steps;
mod whole;
mod wrappers;
