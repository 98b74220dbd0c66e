//! The tests of the command, one program. bad_input.rs is another: it measures how soon the command answers.
#![allow(clippy::unwrap_used)] // a panic is a test's report

mod convolutional;
mod data;
mod find_lr;
mod generative;
mod hub_folders;
mod logs;
mod memory;
mod own_pictures;
mod own_table;
mod predict;
mod profile;
mod recurrent;
mod resume;
mod run_folder;
mod runs;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod texts;
mod thousand;
mod train;
mod words;
