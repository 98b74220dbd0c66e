//! A caching allocator of host memory: buffers given back are kept by size class and handed out again.
//!
//! A training step allocates the same sizes again and again. Fresh memory costs a page fault every 4 KiB (21 ms per 64 MiB),
//! a reused buffer some nanoseconds. Large buffers are asked for on huge pages.

use crate::{Buffer, Error, ErrorKind, MemoryStats, Result};
use std::alloc::{Layout, alloc, dealloc};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
    free: [Mutex<Vec<usize>>; CLASSES],
    live: AtomicUsize,
    peak: AtomicUsize,
    cached: AtomicUsize,
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
    let position = (size - base) * STEPS / base;
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
            free: [const { Mutex::new(Vec::new()) }; CLASSES],
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            cached: AtomicUsize::new(0),
        }
    }

    /// A buffer of at least `bytes`, of whatever content, and whether that is zeros.
    #[inline]
    pub(crate) fn alloc(&self, bytes: usize) -> Result<(Buffer, bool)> {
        let (class, size) = class(bytes);
        let list = self.free.get(class).ok_or_else(|| out_of_memory(bytes))?;
        let reused = list.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (address, zero) = match reused {
            Some(address) => {
                self.cached.fetch_sub(size, Ordering::Relaxed);
                (address, false)
            }
            None => (fresh(size)?, true),
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
        self.cached.fetch_add(size, Ordering::Relaxed);
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner).push(buffer.address);
    }

    pub(crate) fn stats(&self) -> MemoryStats {
        MemoryStats {
            live: self.live.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            cached: self.cached.load(Ordering::Relaxed),
        }
    }

    /// Gives all cached buffers back to the system.
    pub(crate) fn trim(&self) {
        for list in &self.free {
            let buffers = std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner));
            for address in buffers {
                self.cached.fetch_sub(release(list_size(&self.free, list), address), Ordering::Relaxed);
            }
        }
    }
}

/// The size of the buffers in one of the lists.
fn list_size(lists: &[Mutex<Vec<usize>>; CLASSES], list: &Mutex<Vec<usize>>) -> usize {
    let class = (std::ptr::from_ref(list) as usize - lists.as_ptr() as usize) / size_of::<Mutex<Vec<usize>>>();
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

/// Back to the system; returns the size.
fn release(size: usize, address: usize) -> usize {
    if let Some(layout) = layout(size) {
        // SAFETY: `fresh` allocated it with this very layout, and it has left the list, so no one else frees it.
        unsafe { dealloc(address as *mut u8, layout) };
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_tight_and_round_trip() {
        let lists: [Mutex<Vec<usize>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];
        for bytes in
            (0..5000).chain((13..40).flat_map(|log| [(1 << log) - 1, 1 << log, (1 << log) + 1, (1 << log) * 5 / 4]))
        {
            let (index, size) = class(bytes);
            assert!(size >= bytes && size % ALIGN == 0, "{bytes}: {size}");
            assert!(bytes < 256 || size <= bytes + bytes / 4 + ALIGN, "{bytes}: {size}");
            assert_eq!(class(size), (index, size), "{bytes}");
            assert_eq!(list_size(&lists, &lists[index]), size, "{bytes}");
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
