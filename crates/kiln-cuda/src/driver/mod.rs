//! NVIDIA cards, through the driver and its Rust interface `cust`.
//!
//! The driver is no part of the build: [`kiln_cuda_shim`] finds it when it is first called.

mod devices;
mod error;
mod machine;
mod module;
mod recent;
mod staging;
#[cfg(test)]
mod tests;

pub use devices::{Card, devices};
pub use error::DriverError;

use crate::backend::Gpu;
use kiln_tensor::Device;
use machine::Driver;
use std::sync::Arc;

/// The card with that number, `--device cuda:0`, and the kernels' PTX compiled for it.
///
/// # Errors
/// In one sentence: there is no driver or no such card, the card is too old, or its driver does not take the PTX.
pub fn cuda(ordinal: u32, ptx: &str) -> Result<Device, DriverError> {
    Ok(Device::new(Arc::new(Gpu::new(Driver::open(ordinal, ptx)?))))
}
