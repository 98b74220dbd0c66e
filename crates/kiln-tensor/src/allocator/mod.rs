//! A caching allocator of host memory: buffers given back are kept by size class and handed out again.
//!
//! A training step allocates the same sizes again and again. Fresh memory costs a page fault every 4 KiB (21 ms per 64 MiB),
//! a reused buffer some nanoseconds. Large buffers are asked for on huge pages.
//!
//! What is kept is bounded twice, never where a step repeats what steps before it did: memory is taken from the system only when
//! what is kept beside what is in use is no more than the most that was in use of late (else the sizes that were used
//! longest ago go back first); and what nobody has asked for while many times all of the memory was handed out goes back too.
//!
//! A system promises more memory than it has, and ends a process that uses it. So what is left is read from the system before memory
//! is taken from it: not for each buffer, but again after a quarter of what was left then, or 64 MiB.
//!
//! Built with `--cfg kiln_exact_alloc`, as `cargo xtask asan` does, it keeps nothing and gives buffers of exactly the size asked
//! for, so that a sanitizer sees the first byte beyond one, and every use after its end.

mod classes;
mod refusal;
mod state;
mod system;
#[cfg(test)]
mod tests;

use crate::{DeviceBuffer, Error, MemoryStats, Result, machine};
use classes::{CLASSES, LARGEST, class};
use refusal::no_room;
pub use refusal::out_of_memory;
use state::{Leaving, NOTED, State};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};
use system::{fresh, release};

/// The allocator of a host device.
///
/// All of its state is behind one lock, which is let go by a plain store: it is held for some nanoseconds, twice for every
/// tensor, and every further atomic read-modify-write (of a mutex, of counters beside it) would cost 4 to 5 more.
pub(crate) struct Allocator {
    locked: AtomicBool,
    state: UnsafeCell<State>,
    /// Bytes that it may hold.
    limit: usize,
    /// Bytes that the system has left, where it says so.
    left: fn() -> Option<usize>,
}

/// After taking so many bytes the system is asked again what it has left: it takes 0.1 ms, and to fetch them 10 ms or more.
const ASK_AFTER: usize = 64 << 20;

// SAFETY: `with` lets one thread at a time at the state.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// One that holds at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Allocator::beside(limit, machine::available)
    }

    /// As [`Allocator::new`], with what says how many bytes the system has left.
    fn beside(limit: usize, left: fn() -> Option<usize>) -> Self {
        Allocator { locked: AtomicBool::new(false), state: UnsafeCell::new(State::new()), limit, left }
    }

    /// Lets `f` at the state, alone.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        /// Lets go also where `f` panics.
        struct Unlock<'a>(&'a AtomicBool);
        impl Drop for Unlock<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        if self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait();
        }
        let _unlock = Unlock(&self.locked);
        // SAFETY: this thread holds the lock until the end of this function.
        f(unsafe { &mut *self.state.get() })
    }

    /// Takes the lock from a thread that holds it now.
    #[cold]
    fn wait(&self) {
        for tries in 0u32.. {
            if self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return;
            }
            // The holder needs nanoseconds, unless the system has taken it off its core.
            if tries % 64 == 63 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    }

    /// A buffer of at least `bytes`, uninitialized, and whether it is zeros.
    ///
    /// # Errors
    /// Memory that the system does not have.
    #[inline]
    pub(crate) fn alloc(&self, bytes: usize) -> Result<(DeviceBuffer, bool)> {
        if bytes > LARGEST {
            return Err(self.refusal(bytes));
        }
        if cfg!(kiln_exact_alloc) {
            return self.alloc_fresh(bytes, bytes.max(1));
        }
        let (class, size) = class(bytes);
        let kept = self.with(|state| state.reuse(class, size));
        if size >= NOTED {
            self.note(class, size);
        }
        match kept {
            Some(address) => Ok((DeviceBuffer { address, bytes: size }, false)),
            None => self.alloc_fresh(bytes, size),
        }
    }

    #[inline(never)]
    fn note(&self, class: usize, size: usize) {
        if self.with(|state| state.note(class, size)) {
            release_all(self.with(State::sweep));
        }
    }

    /// A buffer that comes from the system.
    #[cold]
    fn alloc_fresh(&self, bytes: usize, size: usize) -> Result<(DeviceBuffer, bool)> {
        release_all(self.with(|state| state.beyond(size)));
        let take = || self.may_take(size).then(|| fresh(size)).flatten();
        let address = take().or_else(|| {
            // What lies here unused may be what the system lacks.
            self.trim();
            take()
        });
        let address = address.ok_or_else(|| self.refusal(bytes))?;
        self.with(|state| {
            state.held += size;
            state.hand_out(size);
        });
        Ok((DeviceBuffer { address, bytes: size }, true))
    }

    /// Whether `size` more bytes are within the limit and what the system has left.
    fn may_take(&self, size: usize) -> bool {
        if self.with(|state| state.held.saturating_add(size) > self.limit) {
            return false;
        }
        if self.with(|state| state.spend(size)) {
            return true;
        }
        let Some(beside) = (self.left)().unwrap_or(usize::MAX).checked_sub(size) else { return false };
        self.with(|state| state.granted = (beside / 4).min(ASK_AFTER));
        true
    }

    #[cold]
    fn refusal(&self, bytes: usize) -> Error {
        let held = self.stats();
        let left = (self.left)().unwrap_or(usize::MAX).min(self.limit.saturating_sub(held.live + held.cached));
        out_of_memory(bytes, held, "memory", (self.limit < usize::MAX).then_some((left, self.limit)))
    }

    /// Takes a buffer back. It came from `alloc`, and nobody uses it any more.
    #[inline]
    pub(crate) fn free(&self, buffer: DeviceBuffer) {
        if cfg!(kiln_exact_alloc) {
            self.with(|state| {
                state.live -= buffer.bytes;
                state.held -= buffer.bytes;
            });
            // SAFETY: the buffer came from `alloc_fresh`, with its exact size, and nobody uses it any more.
            return unsafe { release(buffer.bytes, buffer.address) };
        }
        let (class, size) = class(buffer.bytes);
        debug_assert_eq!(size, buffer.bytes);
        self.with(|state| {
            state.live -= size;
            state.classes[class].free.push(buffer.address);
        });
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.with(|state| {
            let peak = state.peak.max(state.recent);
            MemoryStats { live: state.live, peak, cached: state.held - state.live }
        })
    }

    /// Gives all cached buffers back to the system.
    pub(crate) fn trim(&self) {
        let all = |state: &mut State| {
            (0..CLASSES).map(|class| state.take(class, state.classes[class].free.len())).collect::<Leaving>()
        };
        release_all(self.with(all));
    }
}

impl Drop for Allocator {
    fn drop(&mut self) {
        self.trim();
    }
}

/// Room in the host's memory for elements that are no tensor.
pub(crate) fn room<T>(elements: &mut Vec<T>, more: usize) -> Result<()> {
    let bytes = more.saturating_mul(size_of::<T>());
    let left = || machine::available().unwrap_or(usize::MAX);
    if (bytes < ASK_AFTER || bytes <= left()) && elements.try_reserve(more).is_ok() {
        return Ok(());
    }
    let held = crate::Device::cpu().memory();
    Err(no_room(bytes, held, machine::memory().map(|all| (left().min(all), all))))
}

fn release_all(leaving: Leaving) {
    for (size, addresses) in leaving {
        // SAFETY: they came from `fresh`, by this size, and have left the lists of free buffers: nobody else has them.
        addresses.into_iter().for_each(|address| unsafe { release(size, address) });
    }
}
