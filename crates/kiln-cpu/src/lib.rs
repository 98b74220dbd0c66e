//! CPU kernels over slices: matrix products, elementwise maps, reductions, softmax, gathers and optimizer updates.

pub mod gemm;
pub mod team;

mod isa;
mod simd;

pub use isa::Isa;
pub use simd::{Kernel, Simd};
