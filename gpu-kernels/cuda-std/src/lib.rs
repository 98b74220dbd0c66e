#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "nvptx64", no_std)]
#![cfg_attr(target_arch = "nvptx64", feature(asm_experimental_arch, link_llvm_intrinsics, stdarch_nvptx))]
#![cfg_attr(target_arch = "nvptx64", allow(internal_features))]

mod element;
mod kernel;
mod parameters;
mod table;

pub use element::{DeviceCopy, Vector4, Word, f32x4, i32x4, u32x4};
pub use parameters::{Global, GlobalMut, Parameter, Span};
pub use table::Table;

#[cfg(target_arch = "nvptx64")]
mod device;
#[cfg(target_arch = "nvptx64")]
pub use device::{index, shared, warp};

#[cfg(not(target_arch = "nvptx64"))]
mod host;
#[cfg(not(target_arch = "nvptx64"))]
pub use host::{
    fault, index,
    kernel::{Families, Kernel},
    launch::{self, Geometry, KernelInfo, Launch, LaunchError, Launcher},
    shared, warp,
};
#[cfg(all(feature = "sim", not(target_arch = "nvptx64")))]
pub mod sim;
#[cfg(all(feature = "sim", not(target_arch = "nvptx64")))]
pub use sim::Simulator;

pub use index::*;
pub use shared::Shared;
pub use warp::*;
