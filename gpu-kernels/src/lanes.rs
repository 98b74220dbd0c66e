//! Sixteen lanes that add up one sequence: the tree that every reduction follows, on the CPU too.
//!
//! Element i goes to lane i mod 16, each lane adding up in order; the lanes are then combined in halves: lane j with lane j + 8,
//! j + 4, j + 2, j + 1. Sixteen neighboring threads are the lanes; all threads of a warp must call [`combine`].

use cuda_std::{Shuffle, lane_id, thread_idx_x, warp_shuffle_idx};

/// Lanes of a sequence.
pub(crate) const LANES: usize = 16;

/// The thread's lane.
#[inline(always)]
pub(crate) fn lane() -> usize {
    thread_idx_x() as usize % LANES
}

/// The lanes' values combined; the result is in lane 0.
macro_rules! combine {
    ($value:expr, $combine:expr) => {{
        let mut value = $value;
        let mut width = $crate::lanes::LANES as u32 / 2;
        while width > 0 {
            value = $combine(value, ::cuda_std::warp_shuffle_down(value, width));
            width /= 2;
        }
        value
    }};
}
pub(crate) use combine;

/// The value of lane 0, for every lane.
#[inline(always)]
pub(crate) fn shared<T: Shuffle>(value: T) -> T {
    warp_shuffle_idx(value, lane_id() / LANES as u32 * LANES as u32)
}

/// The lane's share of a row under `$combine`, from `$identity` on; then all lanes', which every lane gets.
macro_rules! of_row {
    ($identity:expr, $present:expr, $width:expr, |$i:ident| $x:expr, $combine:expr) => {{
        let mut value = $identity;
        if $present {
            let mut $i = $crate::lanes::lane();
            while $i < $width {
                value = $combine(value, $x);
                $i += $crate::lanes::LANES;
            }
        }
        $crate::lanes::shared($crate::lanes::combine!(value, $combine))
    }};
}
pub(crate) use of_row;
