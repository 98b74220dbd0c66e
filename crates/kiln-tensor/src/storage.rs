//! The memory of a tensor: a buffer that goes back to its device when the last tensor over it is gone.

use crate::profile::{Timed, Work, allocated, is_on};
use crate::{DType, Device, DeviceBuffer, Error, ErrorKind, Result, Shape};

/// A buffer and the device that it came from.
pub(crate) struct Storage {
    buffer: DeviceBuffer,
    device: Device,
}

impl Storage {
    /// Uninitialized memory for a tensor.
    #[inline]
    pub(crate) fn new(shape: &Shape, dtype: DType, device: &Device) -> Result<Self> {
        let bytes = shape.elements() * dtype.size();
        let buffer = device.backend().alloc(bytes).map_err(|error| refused(&error, shape, dtype))?;
        if is_on() {
            allocated(device, buffer, bytes);
        }
        Ok(Storage { buffer, device: device.clone() })
    }

    /// Memory of zeros for a tensor.
    pub(crate) fn zeroed(shape: &Shape, dtype: DType, device: &Device) -> Result<Self> {
        let bytes = shape.elements() * dtype.size();
        let timed = is_on().then(|| Timed::begin(Work::moving("zeros", bytes as u64)));
        let buffer = device.backend().alloc_zeroed(bytes).map_err(|error| refused(&error, shape, dtype))?;
        let storage = Storage { buffer, device: device.clone() };
        if let Some(timed) = timed {
            allocated(device, storage.buffer, bytes);
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

/// What the memory was for.
#[cold]
fn refused(error: &Error, shape: &Shape, dtype: DType) -> Error {
    if error.kind() != ErrorKind::Memory {
        return error.clone();
    }
    let message = format!("a tensor of shape {shape}, {dtype}: {}", error.message());
    Error::new(ErrorKind::Memory, error.operation(), message)
}

impl Drop for Storage {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this storage alone owns the buffer, which came from this device and is given back once.
        unsafe { self.device.backend().free(self.buffer) };
    }
}
