//! The operations on Vars, each beside its derivative rule.

mod dropout;
mod elementwise;
mod index;
mod loss;
mod matmul;
mod operators;
mod reduce;
mod shape;
mod softmax;
