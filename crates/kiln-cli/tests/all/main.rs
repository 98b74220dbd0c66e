//! The tests of the command, one program. bad_input.rs is another: it measures how soon the command answers.
#![allow(clippy::unwrap_used)] // a panic is a test's report

mod convolutional;
mod data;
mod generative;
mod memory;
mod own_pictures;
mod own_table;
mod predict;
mod recurrent;
mod resume;
mod run_folder;
#[path = "../support/mod.rs"]
mod support;
mod thousand;
mod train;
mod words;
