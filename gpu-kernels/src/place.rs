//! Where a thread stands.

use cuda_std::{block_dim_x, block_idx_x, thread_idx_x};

/// Threads of a block where each thread has an element of its own.
pub(crate) const THREADS: u32 = 256;

/// The thread's number in the grid: its element, where each has one.
#[inline(always)]
pub(crate) fn element() -> usize {
    block_idx_x() as usize * block_dim_x() as usize + thread_idx_x() as usize
}

/// Stops the kernel for what its data holds: a trap on the device, on the simulator a fault that names the thread and the line.
#[cold]
#[track_caller]
#[allow(clippy::panic)]
pub(crate) fn refuse(reason: &'static str) -> ! {
    panic!("{reason}")
}

/// An index of an axis of this size; one outside of it is a fault.
#[inline(always)]
#[track_caller]
pub(crate) fn checked(index: i64, axis: usize) -> usize {
    if index < 0 || index >= axis as i64 {
        refuse("an index is outside of its axis");
    }
    index as usize
}
