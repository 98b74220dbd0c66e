//! Tests of what is not public. They stand beside it in src, and this program compiles these files alone: the library's own tests
//! would compile all of its kernels once more.
#![allow(dead_code, clippy::unwrap_used)] // what tests do not call; a panic is a test's report

use kiln_tensor::{DeviceBuffer, Error, ErrorKind, MAX_RANK, MemoryStats, Result, Shape};

#[path = "../src/allocator/mod.rs"]
mod allocator;
#[path = "../src/derived/einsum/equation.rs"]
mod equation;
#[path = "../src/machine.rs"]
mod machine;
#[path = "../src/derived/einsum/order.rs"]
mod order;
