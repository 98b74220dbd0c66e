//! NVIDIA cards, through the driver and its Rust interface `cust`.
//!
//! The driver is no part of the build: [`kiln_cuda_shim`] finds it when it is first called.

mod devices;
mod error;
mod machine;
mod memory;
mod module;
mod staging;
#[cfg(test)]
mod tests;

pub use devices::{Card, devices};
pub use error::DriverError;

use crate::gpu::Gpu;
use kiln_tensor::{Device, Error, ErrorKind, Result};
use machine::Driver;
use std::sync::Arc;

/// The card with that number, `--device cuda:0`, with the kernels' PTX for it.
///
/// # Errors
/// In one sentence: there is no driver or no such card, the card is too old, or its driver does not take the PTX.
pub fn device(ordinal: u32) -> Result<Device> {
    let unusable = |sentence: String| Error::new(ErrorKind::Device, "device", sentence);
    let driver = Driver::open(ordinal, &gpu_kernels::PTX).map_err(|error| unusable(error.to_string()))?;
    Ok(Device::new(Arc::new(Gpu::new(driver))))
}
