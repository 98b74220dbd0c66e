//! Which cards there are.

use super::DriverError;
use cust::CudaFlags;
use cust::device::{Device, DeviceAttribute};
use cust::error::CudaError;
use kiln_cuda_shim::missing_driver;

/// An NVIDIA card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name, as `NVIDIA H200`.
    pub name: String,
    /// Bytes of memory.
    pub memory: usize,
    /// Compute capability, major and minor: (9, 0) for Hopper.
    pub compute_capability: (u32, u32),
}

/// The cards of this machine, `cuda:0` first; at least one.
///
/// # Errors
/// In one sentence, what is missing: the driver, a driver that starts, or a card.
pub fn devices() -> Result<Vec<Card>, DriverError> {
    start()?;
    let cards =
        Device::devices().and_then(|devices| devices.map(|device| card(device?)).collect::<Result<Vec<_>, _>>());
    let cards = cards.map_err(DriverError::from)?;
    if cards.is_empty() { Err(none()) } else { Ok(cards) }
}

fn card(device: Device) -> Result<Card, CudaError> {
    Ok(Card { name: device.name()?, memory: device.total_memory()?, compute_capability: compute_capability(device)? })
}

/// Major and minor.
pub(super) fn compute_capability(device: Device) -> Result<(u32, u32), CudaError> {
    let number = |attribute| device.get_attribute(attribute).map(i32::unsigned_abs);
    Ok((number(DeviceAttribute::ComputeCapabilityMajor)?, number(DeviceAttribute::ComputeCapabilityMinor)?))
}

/// Starts the driver. Calls after the first do nothing.
fn start() -> Result<(), DriverError> {
    if let Some(sentence) = missing_driver() {
        return Err(DriverError::new(sentence.to_owned()));
    }
    cust::init(CudaFlags::empty()).map_err(|error| match error {
        CudaError::NoDevice => none(),
        error => DriverError::from(error).of("the NVIDIA driver does not start"),
    })
}

fn none() -> DriverError {
    DriverError::new(
        "the NVIDIA driver finds no card, or none that this process may use ($CUDA_VISIBLE_DEVICES)".into(),
    )
}

/// The card with that number.
pub(super) fn card_at(ordinal: u32) -> Result<Device, DriverError> {
    start()?;
    let count = Device::num_devices().map_err(DriverError::from)?;
    if count == 0 {
        return Err(none());
    }
    if ordinal >= count {
        let last = count - 1;
        return Err(DriverError::new(format!(
            "there is no cuda:{ordinal}: the last card of this machine is cuda:{last}"
        )));
    }
    Ok(Device::get_device(ordinal)?)
}
