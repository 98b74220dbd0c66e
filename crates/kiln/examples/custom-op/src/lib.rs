#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "nvptx64", no_std, feature(abi_ptx))]
#![deny(unsafe_code)]

#[cfg(not(target_arch = "nvptx64"))]
mod cpu;
#[cfg(all(not(target_arch = "nvptx64"), any(feature = "sim", feature = "cuda")))]
mod gpu;
// What `kernels!` makes of a kernel for the device is an unsafe function.
#[allow(unsafe_code)]
pub mod kernels;
#[cfg(not(target_arch = "nvptx64"))]
mod op;

#[cfg(not(target_arch = "nvptx64"))]
pub use op::AddRmsNorm;

/// Sums that add up the squares of a row. Element i goes to sum i mod 32; then j + 16 is added to j, j + 8, j + 4, j + 2, j + 1.
pub const LANES: usize = 32;
