//! The operations on Vars, each beside its derivative rule.

mod activation;
mod arithmetic;
mod attention;
mod average;
mod blend;
mod conv;
mod custom;
mod dropout;
mod elementwise;
mod index;
#[cfg(feature = "linalg")]
mod linalg;
mod linear_cross_entropy;
mod loss;
mod matmul;
mod normalization;
mod operators;
mod pad;
mod pool;
mod recurrent;
mod reduce;
mod row_norm;
mod scan;
mod shape;
mod softmax;

pub use custom::CustomFunction;
pub use recurrent::{RecurrentOptions, RecurrentOutput};
