//! A card's memory: stream-ordered, and what has been given back is kept for the next who asks for its size.
//!
//! The driver's own allocation costs a microsecond or two, as much as a launch. All work is queued on one stream, so what is done in
//! memory that is given out again comes after all that its last owner has queued.

use super::error::{DriverError, check};
use cust::device::Device;
use cust::error::CudaError;
use cust::memory::{DevicePointer, cuda_free_async, cuda_malloc_async};
use cust::stream::Stream;
use cust::sys;
use std::collections::HashMap;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Memory of one card.
pub(super) struct Memory {
    pool: Pool,
    kept: Mutex<Kept>,
}

/// Addresses of free memory, by size.
#[derive(Default)]
struct Kept {
    blocks: HashMap<usize, Vec<u64>>,
    bytes: usize,
}

/// Rounds a size up by at most 1/8, so that similar sizes reuse the same block.
fn block(bytes: usize) -> usize {
    const EXACT: usize = 4096;
    let eighth = 1 << bytes.max(EXACT).ilog2().saturating_sub(3);
    if bytes <= EXACT { bytes } else { bytes.checked_next_multiple_of(eighth).unwrap_or(bytes) }
}

impl Memory {
    pub(super) fn of(device: Device) -> Result<Self, DriverError> {
        Ok(Memory { pool: Pool::of(device)?, kept: Mutex::default() })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing is left half done where the lock is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kept memory of `bytes`, if there is any; its content is anything.
    pub(super) fn reuse(&self, bytes: usize) -> Option<u64> {
        let bytes = block(bytes);
        let mut kept = self.kept();
        let address = kept.blocks.get_mut(&bytes)?.pop()?;
        kept.bytes -= bytes;
        Some(address)
    }

    /// Memory of `bytes` > 0 from the driver.
    pub(super) fn take(bytes: usize, stream: &Stream) -> Result<u64, CudaError> {
        // SAFETY: nobody is given the memory's bytes before they have been written.
        unsafe { cuda_malloc_async::<u8>(stream, block(bytes)) }.map(|pointer| pointer.as_raw())
    }

    /// Keeps memory that was given out for so many bytes, and whose last use has been queued.
    pub(super) fn keep(&self, address: u64, bytes: usize) {
        let bytes = block(bytes);
        let mut kept = self.kept();
        kept.blocks.entry(bytes).or_default().push(address);
        kept.bytes += bytes;
    }

    /// Bytes that are kept.
    pub(super) fn bytes_kept(&self) -> usize {
        self.kept().bytes
    }

    /// Gives all that is kept back to the system, after the work that has been queued.
    pub(super) fn trim(&self, stream: &Stream) -> Result<(), DriverError> {
        let kept = std::mem::take(&mut *self.kept());
        for address in kept.blocks.into_values().flatten() {
            // SAFETY: the address came from `take`; work that is queued later does not touch it.
            unsafe { cuda_free_async(stream, DevicePointer::<u8>::from_raw(address)) }?;
        }
        stream.synchronize()?;
        self.pool.trim()
    }
}

/// The memory that a card keeps for stream-ordered allocation.
struct Pool(sys::CUmemoryPool);

// SAFETY: the driver's handles may be used from any thread.
unsafe impl Send for Pool {}
// SAFETY: likewise, at the same time.
unsafe impl Sync for Pool {}

impl Pool {
    /// The card's own pool, told to keep freed memory: by default it goes back to the system whenever the stream is
    /// waited for.
    fn of(device: Device) -> Result<Self, DriverError> {
        let mut supported = 0;
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
        // SAFETY: the driver writes one number.
        check(unsafe { sys::cuDeviceGetAttribute(&raw mut supported, attribute, device.as_raw()) })?;
        if supported == 0 {
            return Err(DriverError::new(
                "the card or its driver has no stream-ordered allocation, which Kiln needs".into(),
            ));
        }
        let mut pool = null_mut();
        // SAFETY: the driver writes one handle.
        check(unsafe { sys::cuDeviceGetDefaultMemPool(&raw mut pool, device.as_raw()) })?;
        let mut keep = u64::MAX;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: this attribute's value is a number of 64 bits.
        check(unsafe { sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut keep).cast()) })?;
        Ok(Pool(pool))
    }

    /// Gives back what is kept.
    fn trim(&self) -> Result<(), DriverError> {
        // SAFETY: the pool is the card's own, which is never destroyed.
        check(unsafe { sys::cuMemPoolTrimTo(self.0, 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn blocks_hold_what_is_asked_for_and_little_more() {
        for bytes in (256..20_000).step_by(256).chain([1 << 20, (1 << 20) + 256, (3 << 30) - 256, usize::MAX]) {
            let block = block(bytes);
            assert!(block >= bytes && block - bytes <= bytes / 8, "{bytes} become {block}");
            assert_eq!(super::block(block), block);
        }
        assert_eq!([256, 4096, 4352, 9000, 1_000_000].map(block), [256, 4096, 4608, 9216, 1_048_576]);
    }
}
