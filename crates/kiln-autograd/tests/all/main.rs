//! The tests of automatic differentiation, one program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod attention;
mod checkpoint;
mod composed;
mod custom;
mod derivatives;
mod derived;
mod dtypes;
mod elementwise_list;
mod gradient_shapes;
mod gradients;
mod graph;
mod half;
mod limits;
#[cfg(feature = "linalg")]
mod linalg;
mod linear_cross_entropy;
mod odd_windows;
mod origin;
mod pytorch;
mod recurrent;
mod row_norm;
mod rules;
mod saved;
mod windows;
