//! The caller's scratch memory, shared out to tasks.

use super::layout::GROUP;
use std::sync::atomic::{AtomicU64, Ordering};

/// An address that tasks on several threads write through, each its own part.
#[derive(Clone, Copy)]
pub(super) struct Place(pub(super) *mut f32);

// SAFETY: a place is an address only; whoever writes there vouches for the part being its own.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    /// So many floats further on.
    pub(super) fn at(&self, floats: usize) -> *mut f32 {
        self.0.wrapping_add(floats)
    }
}

/// The most slots: a bit of a word is one.
const MOST: usize = 64;

/// Equal parts of the scratch memory, each for one task at a time.
pub(super) struct Slots {
    first: Place,
    each: usize,
    count: usize,
    /// The slots that no task has.
    free: AtomicU64,
}

/// The floats of scratch memory that so many slots take: lines of a cache, the first of which need not begin where the memory does.
pub(super) fn room(each: usize, slots: usize) -> usize {
    if each == 0 { 0 } else { each.next_multiple_of(GROUP) * slots.clamp(1, MOST) + GROUP }
}

impl Slots {
    /// As many slots of `each` floats as there is room for, and at most so many.
    ///
    /// # Panics
    /// Scratch memory without room for one.
    pub(super) fn new(scratch: &mut [f32], each: usize, most: usize) -> Slots {
        if each == 0 {
            return Slots { first: Place(scratch.as_mut_ptr()), each, count: MOST, free: AtomicU64::new(0) };
        }
        let each = each.next_multiple_of(GROUP);
        let skipped = scratch.as_ptr().align_offset(4 * GROUP).min(GROUP);
        let count = (scratch.len().saturating_sub(skipped) / each).min(most).min(MOST);
        if count == 0 {
            let needed = room(each, 1);
            crate::check::refuse(
                "Filter::run",
                format_args!("`scratch` has {} floats, at least {needed} are expected", scratch.len()),
            );
        }
        let first = Place(scratch.as_mut_ptr().wrapping_add(skipped));
        Slots { first, each, count, free: AtomicU64::new(u64::MAX >> (MOST - count)) }
    }

    /// How many tasks may have a slot at the same time.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Runs `f` with a slot of its own. No more tasks than [`Slots::count`] may do so at the same time.
    pub(super) fn with(&self, f: impl FnOnce(*mut f32)) {
        if self.each == 0 {
            return f(self.first.0);
        }
        loop {
            let free = self.free.load(Ordering::Relaxed);
            let slot = free.trailing_zeros() as usize;
            if slot == MOST {
                std::hint::spin_loop();
                continue;
            }
            let taken = free & !(1 << slot);
            // Acquire and release: what the task before has written there is seen before it is written over.
            if self.free.compare_exchange_weak(free, taken, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                f(self.first.at(slot * self.each));
                self.free.fetch_or(1 << slot, Ordering::Release);
                return;
            }
        }
    }
}
