#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "nvptx64", no_std, feature(abi_ptx))]

pub mod arg_reduce;
pub mod compare;
pub mod conv;
pub mod copy;
pub mod cross_entropy;
pub mod elementwise;
pub mod gather;
#[cfg(not(target_arch = "nvptx64"))]
pub mod geometry;
mod lanes;
pub mod matmul;
pub mod normalize;
mod place;
pub mod pool;
#[cfg(not(target_arch = "nvptx64"))]
mod ptx;
pub mod random;
pub mod recurrent;
pub mod reduce;
pub mod softmax;
mod tile;
pub mod update;
mod window;

#[cfg(not(target_arch = "nvptx64"))]
pub use ptx::ptx;
