//! The tests of layers, losses and models, one program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod architecture;
mod attention;
mod batch_norm;
mod channels_last;
mod checkpoint;
mod derive;
mod descriptions;
mod dropout;
mod errors;
mod gradients;
mod graph;
mod half;
mod in_place;
mod initializers;
mod limits;
mod loss_values;
mod losses;
mod models;
mod moving;
mod naive;
mod one_number;
mod parameters;
mod per_sample;
mod preprocessing;
mod pytorch;
mod recurrent;
mod reference_layers;
mod regularizers;
mod reparameterize;
mod shards;
mod spellings;
mod state;
mod steps;
mod summary;
mod values;
