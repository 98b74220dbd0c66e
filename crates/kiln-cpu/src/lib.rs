//! CPU kernels over slices: matrix products, elementwise maps, reductions, softmax, gathers and optimizer updates.

pub mod team;

mod isa;

pub use isa::Isa;
