//! A simulated thread's place in its block.

/// Threads of a warp.
pub(crate) const WARP: u32 = 32;

/// The thread that runs now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thread {
    /// Its number in the block: x + width (y + height z).
    pub(crate) linear: u32,
    /// Its place, (x, y, z).
    pub(crate) index: [u32; 3],
}
