//! The tests of data sets and loaders, one program.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is a test's report

mod augment;
mod columnar;
mod combine;
mod csv;
#[cfg(feature = "embedded-mnist")]
mod embedded;
#[cfg(feature = "fetch")]
mod fetch;
mod files;
mod fixture;
mod folds;
mod idx;
mod keras;
mod loader;
mod numpy;
mod readers;
mod sequences;
mod split;
mod stream;
mod tables;
mod torchvision;
