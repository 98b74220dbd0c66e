//! The tests of the kernels, one program. fork.rs and team.rs are others: a fork must meet no other test's thread, and
//! the tests of the thread team need workers that no other test borrows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is a test's report

mod attention;
mod channels;
mod contracts;
mod conv;
mod elementwise;
mod gemm;
mod inference;
mod kernels;
mod memory;
mod random;
mod recurrent;
mod reduce;
mod row_norm;
mod scan;
mod softmax;
mod sort;
mod transpose;
mod update;
mod views;
