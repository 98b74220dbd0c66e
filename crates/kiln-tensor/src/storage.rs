//! The memory of a tensor: a buffer that goes back to its device when the last tensor over it is gone.

use crate::profile::{Timed, Work, allocated, is_on};
use crate::{Device, DeviceBuffer, Result};

/// A buffer and the device that it came from.
pub(crate) struct Storage {
    buffer: DeviceBuffer,
    device: Device,
}

impl Storage {
    /// Uninitialized memory.
    #[inline]
    pub(crate) fn new(bytes: usize, device: &Device) -> Result<Self> {
        let buffer = device.backend().alloc(bytes)?;
        if is_on() {
            allocated(device, bytes);
        }
        Ok(Storage { buffer, device: device.clone() })
    }

    /// Memory of zeros.
    pub(crate) fn zeroed(bytes: usize, device: &Device) -> Result<Self> {
        let timed = Timed::begin(|| Work::moving("zeros", bytes as u64));
        let storage = Storage { buffer: device.backend().alloc_zeroed(bytes)?, device: device.clone() };
        if let Some(timed) = timed {
            allocated(device, bytes);
            timed.end(device)?;
        }
        Ok(storage)
    }

    #[inline]
    pub(crate) fn buffer(&self) -> DeviceBuffer {
        self.buffer
    }

    #[inline]
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for Storage {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this storage alone owns the buffer, which came from this device and is given back once.
        unsafe { self.device.backend().free(self.buffer) };
    }
}
