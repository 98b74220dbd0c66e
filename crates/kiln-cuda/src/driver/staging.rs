//! Page-locked memory that uploads pass through, so that their caller need not wait for the card.

use super::DriverError;
use cust::memory::{AsyncCopyDestination, DevicePointer, DeviceSlice, LockedBuffer};
use cust::stream::Stream;

/// Bytes of page-locked memory.
const BYTES: usize = 8 << 20;

/// Page-locked memory, taken from the front until it is used up.
#[derive(Default)]
pub(super) struct Staging {
    buffer: Option<LockedBuffer<u8>>,
    used: usize,
}

impl Staging {
    /// Queues a copy to the card. The bytes may change once this returns.
    ///
    /// # Safety
    /// The card's memory at `to` holds as many bytes.
    pub(super) unsafe fn upload(&mut self, to: u64, from: &[u8], stream: &Stream) -> Result<(), DriverError> {
        // SAFETY: as the caller promises.
        let mut to = unsafe { DeviceSlice::from_raw_parts_mut(DevicePointer::<u8>::from_raw(to), from.len()) };
        if from.len() > BYTES {
            // The driver copies large memory through its own page-locked memory. Whether it has read all of it when it
            // returns depends on the machine, so wait.
            // SAFETY: both ends live until the copy is done.
            unsafe { to.async_copy_from(from, stream) }?;
            return Ok(stream.synchronize()?);
        }
        if self.used + from.len() > BYTES {
            // Copies that have been queued still read the buffer.
            stream.synchronize()?;
            self.used = 0;
        }
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            none => none.insert(LockedBuffer::new(&0, BYTES)?),
        };
        let part = &mut buffer[self.used..][..from.len()];
        part.copy_from_slice(from);
        // Also if the copy fails: what the driver has read of the part is then unknown.
        self.used += from.len().next_multiple_of(64);
        // SAFETY: nothing writes this part of the buffer before the stream has been waited for.
        Ok(unsafe { to.async_copy_from(part, stream) }?)
    }
}
