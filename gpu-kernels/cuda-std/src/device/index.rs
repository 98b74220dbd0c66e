//! Which thread this is, and the barrier of its block.

use core::arch::nvptx;

macro_rules! indices {
    ($($(#[doc = $doc:expr])* $name:ident = $intrinsic:ident;)*) => {
        $(
            $(#[doc = $doc])*
            #[inline(always)]
            #[must_use]
            pub fn $name() -> u32 {
                // SAFETY: reads a register.
                unsafe { nvptx::$intrinsic() as u32 }
            }
        )*
    };
}

indices! {
    /// The thread's place in its block along x.
    thread_idx_x = _thread_idx_x;
    /// The thread's place in its block along y.
    thread_idx_y = _thread_idx_y;
    /// The thread's place in its block along z.
    thread_idx_z = _thread_idx_z;
    /// The block's place in the grid along x.
    block_idx_x = _block_idx_x;
    /// The block's place in the grid along y.
    block_idx_y = _block_idx_y;
    /// The block's place in the grid along z.
    block_idx_z = _block_idx_z;
    /// Threads of a block along x.
    block_dim_x = _block_dim_x;
    /// Threads of a block along y.
    block_dim_y = _block_dim_y;
    /// Threads of a block along z.
    block_dim_z = _block_dim_z;
    /// Blocks of the grid along x.
    grid_dim_x = _grid_dim_x;
    /// Blocks of the grid along y.
    grid_dim_y = _grid_dim_y;
    /// Blocks of the grid along z.
    grid_dim_z = _grid_dim_z;
}

/// Waits until all threads of the block are here; what they wrote before, all of them see after.
#[inline(always)]
pub fn sync_threads() {
    // SAFETY: the simulator shows that every thread of the block comes to the same call.
    unsafe { nvptx::_syncthreads() }
}
