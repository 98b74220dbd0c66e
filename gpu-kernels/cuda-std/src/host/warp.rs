//! What the 32 threads of a warp do together. All lanes of the warp must come to the same call.

use super::block::{Block, Meeting, current};
use super::thread::WARP;
use std::panic::Location;

/// A number that lanes exchange: `f32`, `u32`, `i32`, and `f64` as two words.
pub trait Shuffle: crate::DeviceCopy {}
impl Shuffle for f32 {}
impl Shuffle for u32 {}
impl Shuffle for i32 {}
impl Shuffle for f64 {}

/// The thread's place in its warp, 0 to 31.
#[inline]
#[must_use]
pub fn lane_id() -> u32 {
    current(|block| block.thread.get().linear % WARP)
}

/// Gives `value` to the warp and takes the one of lane `source(own lane)`.
#[inline]
fn shuffle<T: Shuffle>(
    name: &'static str,
    value: T,
    source: impl FnOnce(u32) -> u32,
    site: &'static Location<'static>,
) -> T {
    current(|block| {
        let warp = block.exchange(Meeting::Warp(name), value.widen(), site);
        let own = block.thread.get().linear % WARP;
        let lane = source(own);
        if lane >= warp.lanes {
            let lanes = warp.lanes;
            block.fault(format!("takes a value from lane {lane} of a warp of {lanes} threads"), site);
        }
        T::narrow(warp.value(lane))
    })
}

/// The value of lane `lane_id() ^ mask`.
#[inline]
#[must_use]
#[track_caller]
pub fn warp_shuffle_xor<T: Shuffle>(value: T, mask: u32) -> T {
    shuffle("warp_shuffle_xor", value, |own| own ^ (mask % WARP), Location::caller())
}

/// The value of lane `lane_id() + delta`; beyond the last lane, the thread's own.
#[inline]
#[must_use]
#[track_caller]
pub fn warp_shuffle_down<T: Shuffle>(value: T, delta: u32) -> T {
    let source = |own| {
        let lane = own + delta % WARP;
        if lane < WARP { lane } else { own }
    };
    shuffle("warp_shuffle_down", value, source, Location::caller())
}

/// The value of lane `lane_id() - delta`; before the first lane, the thread's own.
#[inline]
#[must_use]
#[track_caller]
pub fn warp_shuffle_up<T: Shuffle>(value: T, delta: u32) -> T {
    let source = |own: u32| own.checked_sub(delta % WARP).unwrap_or(own);
    shuffle("warp_shuffle_up", value, source, Location::caller())
}

/// The value of lane `lane` (modulo 32).
#[inline]
#[must_use]
#[track_caller]
pub fn warp_shuffle_idx<T: Shuffle>(value: T, lane: u32) -> T {
    shuffle("warp_shuffle_idx", value, |_| lane % WARP, Location::caller())
}

/// The lanes whose predicate holds, and the lanes there are.
#[inline]
fn vote(block: &Block, name: &'static str, predicate: bool, site: &'static Location<'static>) -> (u32, u32) {
    let warp = block.exchange(Meeting::Warp(name), u64::from(predicate), site);
    let ballot = (0..warp.lanes).fold(0, |ballot, lane| ballot | (warp.value(lane) as u32) << lane);
    (ballot, u32::MAX >> (WARP - warp.lanes))
}

/// Whether the predicate holds for every thread of the warp.
#[inline]
#[must_use]
#[track_caller]
pub fn warp_vote_all(predicate: bool) -> bool {
    let site = Location::caller();
    current(|block| {
        let (ballot, all) = vote(block, "warp_vote_all", predicate, site);
        ballot == all
    })
}

/// Whether the predicate holds for some thread of the warp.
#[inline]
#[must_use]
#[track_caller]
pub fn warp_vote_any(predicate: bool) -> bool {
    let site = Location::caller();
    current(|block| vote(block, "warp_vote_any", predicate, site).0 != 0)
}

/// The predicates of the warp's threads: bit i is lane i's.
#[inline]
#[must_use]
#[track_caller]
pub fn warp_ballot(predicate: bool) -> u32 {
    let site = Location::caller();
    current(|block| vote(block, "warp_ballot", predicate, site).0)
}

/// Waits until all threads of the warp are here; what they wrote before, all of them see after.
#[inline]
#[track_caller]
pub fn sync_warp() {
    let site = Location::caller();
    current(|block| {
        block.wait(Meeting::Warp(SYNC_WARP), site);
    });
}

/// The one meeting of a warp that orders its accesses to memory.
pub(crate) const SYNC_WARP: &str = "sync_warp";
