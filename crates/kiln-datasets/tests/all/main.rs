//! The tests of data sets and loaders, one program.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is a test's report

mod augment;
mod bert;
mod columnar;
mod combine;
mod csv;
#[cfg(feature = "images")]
mod digit;
#[cfg(feature = "embedded-mnist")]
mod embedded;
#[cfg(feature = "fetch")]
mod fetch;
mod files;
mod fixture;
mod folds;
mod idx;
#[cfg(feature = "images")]
mod image_files;
#[cfg(feature = "images")]
mod image_options;
mod keras;
mod loader;
mod numpy;
mod pairs;
#[cfg(feature = "images")]
mod pictures;
mod readers;
mod sequences;
mod series;
mod split;
mod stream;
mod tables;
mod text;
mod token_file;
mod tokenizer;
mod tokenizer_files;
mod torchvision;
