//! A caching allocator of host memory: buffers given back are kept by size class and handed out again.
//!
//! A training step allocates the same sizes again and again. Fresh memory costs a page fault every 4 KiB (21 ms per 64 MiB),
//! a reused buffer some nanoseconds. Large buffers are asked for on huge pages.
//!
//! Built with `--cfg kiln_exact_alloc`, as `cargo xtask asan` does, it keeps nothing and gives buffers of exactly the size asked
//! for, so that a sanitizer sees the first byte beyond one, and every use after its end.

use crate::{Buffer, Error, ErrorKind, MemoryStats, Result};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Alignment of every buffer: a cache line, and the widest vector register.
const ALIGN: usize = 64;
/// From this size on buffers lie on huge pages, where the system has them.
const HUGE: usize = 2 << 20;
/// Classes a power of two is cut into, so that at most a fifth of a buffer is unused.
const STEPS: usize = 4;
/// Beyond any memory: 256 TiB.
const LARGEST: usize = 1 << 48;
/// Classes: sizes from 64 bytes up to the largest.
const CLASSES: usize = (LARGEST.ilog2() - ALIGN.ilog2()) as usize * STEPS + 1;

/// The allocator of a host device.
///
/// All of its state is behind one lock, which is let go by a plain store: it is held for some nanoseconds, twice for every
/// tensor, and every further atomic read-modify-write (of a mutex, of counters beside it) would cost 4 to 5 more.
pub(crate) struct Allocator {
    locked: AtomicBool,
    state: UnsafeCell<State>,
}

struct State {
    /// Addresses of free buffers, the last used last.
    free: [Vec<usize>; CLASSES],
    /// Bytes handed out, and the most there were.
    live: usize,
    peak: usize,
    /// Bytes that came from the system and have not gone back.
    held: usize,
}

// SAFETY: `with` lets one thread at a time at the state.
unsafe impl Sync for Allocator {}

/// The class of a size, and the size that its buffers have: a quarter, two, three or four on from a power of two.
#[inline]
fn class(bytes: usize) -> (usize, usize) {
    if bytes <= ALIGN {
        return (0, ALIGN);
    }
    let log = (bytes - 1).ilog2();
    let quarter = log - STEPS.ilog2();
    let step = quarter.max(ALIGN.ilog2());
    let over = (bytes - (1 << log)).next_multiple_of(1 << step);
    let class = (log - ALIGN.ilog2()) as usize * STEPS + (over >> quarter);
    (class, (1 << log) + over)
}

#[cfg(target_os = "linux")]
fn advise_huge_pages(address: *mut u8, bytes: usize) {
    unsafe extern "C" {
        fn madvise(address: *mut std::ffi::c_void, length: usize, advice: std::ffi::c_int) -> std::ffi::c_int;
    }
    const MADV_HUGEPAGE: std::ffi::c_int = 14;
    // SAFETY: the range was just allocated and is page-aligned; the advice changes no content, and a refusal does no harm.
    unsafe {
        madvise(address.cast(), bytes, MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: *mut u8, _: usize) {}

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, if size >= HUGE { HUGE } else { ALIGN }).ok()
}

impl State {
    #[inline]
    fn hand_out(&mut self, size: usize) {
        self.live += size;
        self.peak = self.peak.max(self.live);
    }
}

impl Allocator {
    pub(crate) fn new() -> Self {
        let state = State { free: [const { Vec::new() }; CLASSES], live: 0, peak: 0, held: 0 };
        Allocator { locked: AtomicBool::new(false), state: UnsafeCell::new(state) }
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

    /// A buffer of at least `bytes`, of whatever content, and whether that is zeros.
    ///
    /// # Errors
    /// Memory that the system does not have.
    #[inline]
    pub(crate) fn alloc(&self, bytes: usize) -> Result<(Buffer, bool)> {
        if bytes > LARGEST {
            return Err(out_of_memory(bytes));
        }
        if cfg!(kiln_exact_alloc) {
            return self.alloc_fresh(bytes, bytes.max(1));
        }
        let (class, size) = class(bytes);
        let kept = self.with(|state| {
            let kept = state.free[class].pop();
            if kept.is_some() {
                state.hand_out(size);
            }
            kept
        });
        match kept {
            Some(address) => Ok((Buffer { address, bytes: size }, false)),
            None => self.alloc_fresh(bytes, size),
        }
    }

    /// A buffer that comes from the system.
    #[cold]
    fn alloc_fresh(&self, bytes: usize, size: usize) -> Result<(Buffer, bool)> {
        let address = fresh(size).or_else(|| {
            // What lies here unused may be what the system lacks.
            self.trim();
            fresh(size)
        });
        let address = address.ok_or_else(|| out_of_memory(bytes))?;
        self.with(|state| {
            state.held += size;
            state.hand_out(size);
        });
        Ok((Buffer { address, bytes: size }, true))
    }

    /// Takes a buffer back. It came from `alloc`, and nobody uses it any more.
    #[inline]
    pub(crate) fn free(&self, buffer: Buffer) {
        if cfg!(kiln_exact_alloc) {
            self.with(|state| {
                state.live -= buffer.bytes;
                state.held -= buffer.bytes;
            });
            return release(buffer.bytes, buffer.address);
        }
        let (class, size) = class(buffer.bytes);
        debug_assert_eq!(size, buffer.bytes);
        self.with(|state| {
            state.live -= size;
            state.free[class].push(buffer.address);
        });
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        self.with(|state| MemoryStats { live: state.live, peak: state.peak, cached: state.held - state.live })
    }

    /// Gives all cached buffers back to the system.
    pub(crate) fn trim(&self) {
        for class in 0..CLASSES {
            let size = size_of_class(class);
            let unused = self.with(|state| {
                let unused = std::mem::take(&mut state.free[class]);
                state.held -= size * unused.len();
                unused
            });
            unused.into_iter().for_each(|address| release(size, address));
        }
    }
}

/// The size of the buffers of a class.
fn size_of_class(class: usize) -> usize {
    let base = ALIGN << (class / STEPS);
    base + base / STEPS * (class % STEPS)
}

impl Drop for Allocator {
    fn drop(&mut self) {
        self.trim();
    }
}

#[cold]
pub(crate) fn out_of_memory(bytes: usize) -> Error {
    Error::new(
        ErrorKind::Memory,
        "alloc",
        format!("{bytes} bytes of memory could not be had: use a smaller batch or model"),
    )
}

/// Fresh zeroed memory of a class's size; `None` where the system has none.
fn fresh(size: usize) -> Option<usize> {
    let layout = layout(size)?;
    // SAFETY: the size is not zero.
    let address = unsafe { alloc(layout) };
    if address.is_null() {
        return None;
    }
    if size >= HUGE {
        advise_huge_pages(address, size);
    }
    // SAFETY: `size` bytes were just allocated. Written now, so that no buffer is ever uninitialised memory.
    unsafe { address.write_bytes(0, size) };
    Some(address as usize)
}

/// Back to the system.
fn release(size: usize, address: usize) {
    if let Some(layout) = layout(size) {
        // SAFETY: `fresh` allocated it with this very layout, and it has left the list, so no one else frees it.
        unsafe { dealloc(address as *mut u8, layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_tight_and_round_trip() {
        for bytes in
            (0..5000).chain((13..40).flat_map(|log| [(1 << log) - 1, 1 << log, (1 << log) + 1, (1 << log) * 5 / 4]))
        {
            let (index, size) = class(bytes);
            assert!(size >= bytes && size % ALIGN == 0, "{bytes}: {size}");
            assert!(bytes < 256 || size <= bytes + bytes / 4 + ALIGN, "{bytes}: {size}");
            assert_eq!(class(size), (index, size), "{bytes}");
            assert_eq!(size_of_class(index), size, "{bytes}");
        }
        assert_eq!(class(LARGEST), (CLASSES - 1, LARGEST));
    }

    #[test]
    #[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
    fn buffers_come_back_and_are_counted() {
        let allocator = Allocator::new();
        let (a, zero) = allocator.alloc(1000).unwrap();
        assert!(zero && a.address % ALIGN == 0);
        allocator.free(a);
        let (b, _) = allocator.alloc(990).unwrap();
        assert_eq!(a, b);
        let (c, _) = allocator.alloc(3 << 20).unwrap();
        assert_eq!(c.address % HUGE, 0);
        allocator.free(b);
        allocator.free(c);
        let stats = allocator.stats();
        assert_eq!((stats.live, stats.peak, stats.cached), (0, b.bytes + c.bytes, b.bytes + c.bytes));
        allocator.trim();
        assert_eq!(allocator.stats().cached, 0);
        assert!(allocator.alloc(LARGEST + 1).is_err());
        assert!(allocator.alloc(usize::MAX).is_err());
    }

    /// What a sanitizer must stop: with its allocator and this one's exact sizes, the byte after a buffer is nobody's.
    /// `cargo xtask asan` runs it, and expects it to end the process.
    #[test]
    #[ignore = "reads beyond a buffer"]
    fn one_byte_beyond_a_buffer() {
        let (buffer, _) = Allocator::new().alloc(100).unwrap();
        // SAFETY: none: that is what is to be seen.
        let beyond = unsafe { std::ptr::read_volatile((buffer.address as *const u8).add(100)) };
        assert_eq!(std::hint::black_box(beyond), beyond);
    }

    /// As above, of a buffer that was given back.
    #[test]
    #[ignore = "reads a buffer that was given back"]
    fn a_buffer_after_its_end() {
        let allocator = Allocator::new();
        let (buffer, _) = allocator.alloc(100).unwrap();
        allocator.free(buffer);
        // SAFETY: none: that is what is to be seen.
        let after = unsafe { std::ptr::read_volatile(buffer.address as *const u8) };
        assert_eq!(std::hint::black_box(after), after);
    }

    #[test]
    fn threads_share_it() {
        let allocator = Allocator::new();
        std::thread::scope(|scope| {
            for t in 0..4 {
                let allocator = &allocator;
                scope.spawn(move || {
                    for i in 0..500 {
                        let (buffer, _) = allocator.alloc(64 + i % 7 * 300).unwrap();
                        // SAFETY: this thread's own buffer.
                        unsafe { *(buffer.address as *mut u8) = t };
                        allocator.free(buffer);
                    }
                });
            }
        });
        assert_eq!(allocator.stats().live, 0);
    }
}
