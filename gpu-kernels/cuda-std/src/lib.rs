#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "nvptx64", no_std)]
#![cfg_attr(target_arch = "nvptx64", feature(asm_experimental_arch, link_llvm_intrinsics, stdarch_nvptx))]
#![cfg_attr(target_arch = "nvptx64", allow(internal_features))]

mod element;
mod kernel;

pub use element::{Element, Scalar, Vector4, Word, f32x4, i32x4, u32x4};

#[cfg(target_arch = "nvptx64")]
mod device;
#[cfg(target_arch = "nvptx64")]
pub use device::{index, memory, shared, warp};

#[cfg(not(target_arch = "nvptx64"))]
mod host;
#[cfg(not(target_arch = "nvptx64"))]
pub use host::{
    fault, index,
    launch::{self, DeviceSlice, DeviceSliceMut, Geometry, KernelInfo, Launch, LaunchError, Launcher},
    memory, shared, warp,
};
#[cfg(all(feature = "sim", not(target_arch = "nvptx64")))]
pub mod sim;
#[cfg(all(feature = "sim", not(target_arch = "nvptx64")))]
pub use sim::Simulator;

pub use index::*;
pub use memory::{Global, GlobalMut};
pub use shared::Shared;
pub use warp::*;
