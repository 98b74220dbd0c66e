//! Which thread this is, and the barrier of its block.

use super::block::{Meeting, current};
use std::panic::Location;

macro_rules! indices {
    ($($(#[doc = $doc:expr])* $name:ident = |$block:ident| $value:expr;)*) => {
        $(
            $(#[doc = $doc])*
            #[inline]
            #[must_use]
            pub fn $name() -> u32 {
                current(|$block| $value)
            }
        )*
    };
}

indices! {
    /// The thread's place in its block along x.
    thread_idx_x = |block| block.thread.get().index[0];
    /// The thread's place in its block along y.
    thread_idx_y = |block| block.thread.get().index[1];
    /// The thread's place in its block along z.
    thread_idx_z = |block| block.thread.get().index[2];
    /// The block's place in the grid along x.
    block_idx_x = |block| block.index.get()[0];
    /// The block's place in the grid along y.
    block_idx_y = |block| block.index.get()[1];
    /// The block's place in the grid along z.
    block_idx_z = |block| block.index.get()[2];
    /// Threads of a block along x.
    block_dim_x = |block| block.geometry.block[0];
    /// Threads of a block along y.
    block_dim_y = |block| block.geometry.block[1];
    /// Threads of a block along z.
    block_dim_z = |block| block.geometry.block[2];
    /// Blocks of the grid along x.
    grid_dim_x = |block| block.geometry.grid[0];
    /// Blocks of the grid along y.
    grid_dim_y = |block| block.geometry.grid[1];
    /// Blocks of the grid along z.
    grid_dim_z = |block| block.geometry.grid[2];
}

/// Waits until all threads of the block are here; what they wrote before, all of them see after.
///
/// Every thread of the block must come to the same call: on the device anything else is undefined, in the simulator a fault.
#[inline]
#[track_caller]
pub fn sync_threads() {
    let site = Location::caller();
    current(|block| block.wait(Meeting::Block, site));
}
