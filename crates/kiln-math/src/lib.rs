#![doc = include_str!("../README.md")]

pub mod draws;
mod dual;
pub mod elementary;
mod numbers;
pub mod ops;
pub mod philox;
mod real;
pub mod update;

pub use draws::{Purpose, Stream};
pub use dual::Dual;
pub use numbers::Unfused;
pub use ops::{Binary, BinaryOp, Unary, UnaryOp};
pub use real::Real;
