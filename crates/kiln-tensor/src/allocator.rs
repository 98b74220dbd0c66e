//! A caching allocator of host memory: buffers given back are kept by size class and handed out again.
//!
//! A training step allocates the same sizes again and again. Fresh memory costs a page fault every 4 KiB (21 ms per 64 MiB),
//! a reused buffer some nanoseconds. Large buffers are asked for on huge pages.

use crate::{Buffer, Error, ErrorKind, MemoryStats, Result};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Alignment of every buffer: a cache line, and the widest vector register.
const ALIGN: usize = 64;
/// From this size on buffers lie on huge pages, where the system has them.
const HUGE: usize = 2 << 20;
/// Classes a power of two is cut into, so that at most a fifth of a buffer is unused.
const STEPS: usize = 4;
/// Classes: sizes from 64 bytes up to beyond any memory.
const CLASSES: usize = 42 * STEPS;

/// The allocator of a host device.
pub(crate) struct Allocator {
    free: [List; CLASSES],
    live: AtomicUsize,
    peak: AtomicUsize,
    /// Everything that came from the system and has not gone back.
    held: AtomicUsize,
}

/// The free buffers of a class, behind a lock that is let go by a plain store: it is held for some nanoseconds, twice for
/// every tensor, and a mutex would cost one atomic read-modify-write more each time.
struct List {
    locked: AtomicBool,
    buffers: UnsafeCell<Vec<usize>>,
}

// SAFETY: `with` lets one thread at a time at the buffers.
unsafe impl Sync for List {}

impl List {
    const fn new() -> Self {
        List { locked: AtomicBool::new(false), buffers: UnsafeCell::new(Vec::new()) }
    }

    /// Lets `f` at the buffers, alone.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Vec<usize>) -> R) -> R {
        /// Lets go also where `f` panics.
        struct Unlock<'a>(&'a AtomicBool);
        impl Drop for Unlock<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            // The holder may have been descheduled.
            std::thread::yield_now();
        }
        let _unlock = Unlock(&self.locked);
        // SAFETY: this thread holds the lock until the end of this function.
        f(unsafe { &mut *self.buffers.get() })
    }
}

/// The class of a size, and the size that its buffers have.
fn class(bytes: usize) -> (usize, usize) {
    let bytes = bytes.max(ALIGN);
    // The power of two at or below, and which quarter of the way to the next.
    let log = (bytes - 1).max(1).ilog2() as usize;
    let base = 1usize << log;
    if base < ALIGN {
        return (0, ALIGN);
    }
    let step = (base / STEPS).max(ALIGN);
    let steps = (bytes - base).div_ceil(step);
    let size = base + steps * step;
    let position = (size - base) / (base / STEPS);
    let (log, position) = if position == STEPS { (log + 1, 0) } else { (log, position) };
    ((log - ALIGN.ilog2() as usize) * STEPS + position, size)
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

impl Allocator {
    pub(crate) fn new() -> Self {
        Allocator {
            free: [const { List::new() }; CLASSES],
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
        }
    }

    /// A buffer of at least `bytes`, of whatever content, and whether that is zeros.
    #[inline]
    pub(crate) fn alloc(&self, bytes: usize) -> Result<(Buffer, bool)> {
        let (class, size) = class(bytes);
        let list = self.free.get(class).ok_or_else(|| out_of_memory(bytes))?;
        let (address, zero) = match list.with(Vec::pop) {
            Some(address) => (address, false),
            None => {
                let address = fresh(size)?;
                self.held.fetch_add(size, Ordering::Relaxed);
                (address, true)
            }
        };
        let live = self.live.fetch_add(size, Ordering::Relaxed) + size;
        if live > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(live, Ordering::Relaxed);
        }
        Ok((Buffer { address, bytes: size }, zero))
    }

    /// Takes a buffer back. It came from `alloc`, and nobody uses it any more.
    #[inline]
    pub(crate) fn free(&self, buffer: Buffer) {
        let (class, size) = class(buffer.bytes);
        debug_assert_eq!(size, buffer.bytes);
        self.live.fetch_sub(size, Ordering::Relaxed);
        self.free[class].with(|buffers| buffers.push(buffer.address));
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        let live = self.live.load(Ordering::Relaxed);
        let cached = self.held.load(Ordering::Relaxed).saturating_sub(live);
        MemoryStats { live, peak: self.peak.load(Ordering::Relaxed), cached }
    }

    /// Gives all cached buffers back to the system.
    pub(crate) fn trim(&self) {
        for (class, list) in self.free.iter().enumerate() {
            let size = size_of_class(class);
            for address in list.with(std::mem::take) {
                release(size, address);
                self.held.fetch_sub(size, Ordering::Relaxed);
            }
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
fn out_of_memory(bytes: usize) -> Error {
    Error::new(
        ErrorKind::Memory,
        "alloc",
        format!("{bytes} bytes of memory could not be had: use a smaller batch or model"),
    )
}

/// Fresh zeroed memory of a class's size.
#[cold]
fn fresh(size: usize) -> Result<usize> {
    let layout = layout(size).ok_or_else(|| out_of_memory(size))?;
    // SAFETY: the size is not zero.
    let address = unsafe { alloc(layout) };
    if address.is_null() {
        return Err(out_of_memory(size));
    }
    if size >= HUGE {
        advise_huge_pages(address, size);
    }
    // SAFETY: `size` bytes were just allocated. Written now, so that no buffer is ever uninitialised memory.
    unsafe { address.write_bytes(0, size) };
    Ok(address as usize)
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
    }

    #[test]
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
        assert!(allocator.alloc(usize::MAX / 2).is_err());
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
