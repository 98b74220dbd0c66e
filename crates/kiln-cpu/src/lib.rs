#![doc = include_str!("../README.md")]

pub mod arg_reduce;
pub mod assign;
pub mod attention;
pub mod blend;
pub mod conv;
pub mod copy;
pub mod elementwise;
pub mod gather;
pub mod gemm;
pub mod inference;
pub mod normalization;
pub mod operand;
pub mod pool;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod rows;
pub mod scan;
pub mod softmax;
pub mod sort;
pub mod team;
pub mod transpose;
pub mod update;

mod check;
mod isa;
mod simd;

pub use isa::Isa;
pub use simd::{Kernel, Simd};
