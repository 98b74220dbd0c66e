//! What the 32 threads of a warp do together. All lanes of the warp must come to the same call.
//!
//! Intrinsics, not `asm!`: the compiler knows that they are convergent and neither copies nor moves them past branches.

use crate::element::access::Bits;

/// All lanes.
const FULL: i32 = -1;
/// No segments, and lanes clamped at 31 (`down`, `xor`, `idx`) or 0 (`up`).
const CLAMP_HIGH: i32 = 31;
const CLAMP_LOW: i32 = 0;

// Arguments: the mask of lanes, the value, the lane or distance, the clamp.
#[allow(improper_ctypes)]
unsafe extern "C" {
    #[link_name = "llvm.nvvm.read.ptx.sreg.laneid"]
    fn laneid() -> i32;
    #[link_name = "llvm.nvvm.shfl.sync.bfly.i32"]
    fn shuffle_bfly(mask: i32, value: i32, lane: i32, clamp: i32) -> i32;
    #[link_name = "llvm.nvvm.shfl.sync.down.i32"]
    fn shuffle_down(mask: i32, value: i32, delta: i32, clamp: i32) -> i32;
    #[link_name = "llvm.nvvm.shfl.sync.up.i32"]
    fn shuffle_up(mask: i32, value: i32, delta: i32, clamp: i32) -> i32;
    #[link_name = "llvm.nvvm.shfl.sync.idx.i32"]
    fn shuffle_idx(mask: i32, value: i32, lane: i32, clamp: i32) -> i32;
    #[link_name = "llvm.nvvm.vote.all.sync"]
    fn vote_all(mask: i32, predicate: bool) -> bool;
    #[link_name = "llvm.nvvm.vote.any.sync"]
    fn vote_any(mask: i32, predicate: bool) -> bool;
    #[link_name = "llvm.nvvm.vote.ballot.sync"]
    fn vote_ballot(mask: i32, predicate: bool) -> i32;
    #[link_name = "llvm.nvvm.bar.warp.sync"]
    fn bar_warp(mask: i32);
}

/// A number that lanes exchange: `f32`, `u32`, `i32`, and `f64` as two words.
pub trait Shuffle: crate::DeviceCopy {
    /// Moves the number's words between lanes.
    #[doc(hidden)]
    fn by_words(self, exchange: impl Fn(i32) -> i32) -> Self;
}

macro_rules! shuffle {
    ($($t:ty),*) => {
        $(impl Shuffle for $t {
            #[inline(always)]
            fn by_words(self, exchange: impl Fn(i32) -> i32) -> Self {
                Bits::of_bits(exchange(self.bits() as i32) as u32)
            }
        })*
    };
}
shuffle!(f32, u32, i32);

impl Shuffle for f64 {
    #[inline(always)]
    fn by_words(self, exchange: impl Fn(i32) -> i32) -> Self {
        let bits = self.to_bits();
        let (low, high) = (exchange(bits as i32) as u32, exchange((bits >> 32) as i32) as u32);
        f64::from_bits(u64::from(high) << 32 | u64::from(low))
    }
}

/// The thread's place in its warp, 0 to 31.
#[inline(always)]
#[must_use]
pub fn lane_id() -> u32 {
    // SAFETY: reads a register.
    unsafe { laneid() as u32 }
}

/// The value of lane `lane_id() ^ mask`.
#[inline(always)]
#[must_use]
pub fn warp_shuffle_xor<T: Shuffle>(value: T, mask: u32) -> T {
    // SAFETY: the simulator shows that all lanes come to the same call.
    value.by_words(|word| unsafe { shuffle_bfly(FULL, word, mask as i32, CLAMP_HIGH) })
}

/// The value of lane `lane_id() + delta`; beyond the last lane, the thread's own.
#[inline(always)]
#[must_use]
pub fn warp_shuffle_down<T: Shuffle>(value: T, delta: u32) -> T {
    // SAFETY: as above.
    value.by_words(|word| unsafe { shuffle_down(FULL, word, delta as i32, CLAMP_HIGH) })
}

/// The value of lane `lane_id() - delta`; before the first lane, the thread's own.
#[inline(always)]
#[must_use]
pub fn warp_shuffle_up<T: Shuffle>(value: T, delta: u32) -> T {
    // SAFETY: as above.
    value.by_words(|word| unsafe { shuffle_up(FULL, word, delta as i32, CLAMP_LOW) })
}

/// The value of lane `lane` (modulo 32).
#[inline(always)]
#[must_use]
pub fn warp_shuffle_idx<T: Shuffle>(value: T, lane: u32) -> T {
    // SAFETY: as above.
    value.by_words(|word| unsafe { shuffle_idx(FULL, word, lane as i32, CLAMP_HIGH) })
}

/// Whether the predicate holds for every thread of the warp.
#[inline(always)]
#[must_use]
pub fn warp_vote_all(predicate: bool) -> bool {
    // SAFETY: as above.
    unsafe { vote_all(FULL, predicate) }
}

/// Whether the predicate holds for some thread of the warp.
#[inline(always)]
#[must_use]
pub fn warp_vote_any(predicate: bool) -> bool {
    // SAFETY: as above.
    unsafe { vote_any(FULL, predicate) }
}

/// The predicates of the warp's threads: bit i is lane i's.
#[inline(always)]
#[must_use]
pub fn warp_ballot(predicate: bool) -> u32 {
    // SAFETY: as above.
    unsafe { vote_ballot(FULL, predicate) as u32 }
}

/// Waits until all threads of the warp are here; what they wrote before, all of them see after.
#[inline(always)]
pub fn sync_warp() {
    // SAFETY: as above.
    unsafe { bar_warp(FULL) }
}
