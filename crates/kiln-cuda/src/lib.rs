#![doc = include_str!("../README.md")]

#[cfg(any(feature = "sim", feature = "cuda"))]
mod backend;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod counts;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod custom;
#[cfg(feature = "cuda")]
mod driver;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod gpu;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod machine;
#[cfg(feature = "sim")]
mod sim;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod tables;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod tile;

#[cfg(any(feature = "sim", feature = "cuda"))]
pub use custom::{GpuElement, GpuKernel, GpuLauncher, GpuOperand, GpuOutput};
#[cfg(feature = "cuda")]
pub use driver::{Card, DriverError, device, devices};
#[cfg(any(feature = "sim", feature = "cuda"))]
pub use gpu_kernels::Ptx;
#[cfg(feature = "sim")]
pub use sim::{Simulated, simulator};
