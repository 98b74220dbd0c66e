//! A caching allocator of host memory: buffers given back are kept by size class and handed out again.
//!
//! A training step allocates the same sizes again and again. Fresh memory costs a page fault every 4 KiB (21 ms per 64 MiB),
//! a reused buffer some nanoseconds. Large buffers are asked for on huge pages.
//!
//! What is kept is bounded twice, never where a step repeats what steps before it did: memory is taken from the system only when
//! what is kept beside what is in use is no more than the most that was in use of late (else the sizes that were used
//! longest ago go back first); and what nobody has asked for while many times all of the memory was handed out goes back too.
//!
//! Built with `--cfg kiln_exact_alloc`, as `cargo xtask asan` does, it keeps nothing and gives buffers of exactly the size asked
//! for, so that a sanitizer sees the first byte beyond one, and every use after its end.

use crate::{DeviceBuffer, Error, ErrorKind, MemoryStats, Result};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Alignment of every buffer: a cache line, and the widest vector register.
const ALIGN: usize = 64;
/// From this size on buffers lie on huge pages, where the system has them.
const HUGE: usize = 2 << 20;
/// Classes a power of two is cut into, so that at most a fifth of a buffer is unused.
const STEPS: usize = 4;
/// What is kept beside what is in use may be as much as that for any program.
const FREE_OF_CHARGE: usize = 4 << 20;
/// Unused buffers go back whenever so many times the memory held was handed out: to fetch them again costs little beside that.
const PATIENCE: u64 = 16;
/// The same, where little is held.
const LEAST_PATIENCE: u64 = 256 << 20;
/// From this size on it is noted when buffers were used: smaller ones are too quick for that, and are little memory.
const NOTED: usize = 64 << 10;
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
    /// Bytes that it may hold.
    limit: usize,
}

struct State {
    classes: [Class; CLASSES],
    /// Bytes in use, the most there were since the last sweep, and before it.
    live: usize,
    recent: usize,
    before: usize,
    /// The most there ever were, but for those since the last sweep.
    peak: usize,
    /// Bytes that came from the system and have not gone back.
    held: usize,
    /// Bytes that were ever handed out in noted buffers: the clock that tells how long ago something was.
    clock: u64,
    /// When to sweep next.
    sweep_at: u64,
}

/// Free buffers of a size.
struct Class {
    /// Their addresses, the last used last.
    free: Vec<usize>,
    /// How many of them, the first ones, nobody has needed since the last sweep.
    idle: usize,
    /// When one was handed out last.
    used: u64,
}

impl Class {
    const EMPTY: Class = Class { free: Vec::new(), idle: 0, used: 0 };
}

/// Buffers on their way back to the system, by size.
type Leaving = Vec<(usize, Vec<usize>)>;

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
        self.recent = self.recent.max(self.live);
    }

    /// A kept buffer.
    #[inline]
    fn reuse(&mut self, class: usize, size: usize) -> Option<usize> {
        let of = &mut self.classes[class];
        let address = of.free.pop()?;
        of.idle = of.idle.min(of.free.len());
        self.hand_out(size);
        Some(address)
    }

    /// Notes that a buffer was handed out; whether it is time to sweep.
    fn note(&mut self, class: usize, size: usize) -> bool {
        self.clock += size as u64;
        self.classes[class].used = self.clock;
        self.clock >= self.sweep_at
    }

    /// Takes the first `count` free buffers of a class out.
    fn take(&mut self, class: usize, count: usize) -> (usize, Vec<usize>) {
        let (size, of) = (size_of_class(class), &mut self.classes[class]);
        self.held -= size * count;
        of.idle = of.idle.saturating_sub(count);
        (size, of.free.drain(..count).collect())
    }

    /// Takes out what goes beyond the bound once `size` more bytes are in use: of the sizes that were used longest ago first.
    fn beyond(&mut self, size: usize) -> Leaving {
        let bound = self.recent.max(self.before).max(self.live + size).max(FREE_OF_CHARGE);
        let mut leaving = Leaving::new();
        while self.held - self.live > bound {
            let kept = (0..CLASSES).filter(|&class| !self.classes[class].free.is_empty());
            let age = |&class: &usize| (size_of_class(class) < NOTED, self.classes[class].used);
            let Some(class) = kept.min_by_key(age) else { break };
            let excess = (self.held - self.live - bound).div_ceil(size_of_class(class));
            leaving.push(self.take(class, excess.min(self.classes[class].free.len())));
        }
        leaving
    }

    /// Takes out what nobody has needed since the last sweep.
    fn sweep(&mut self) -> Leaving {
        let idle = (0..CLASSES).filter(|&class| self.classes[class].idle > 0).collect::<Vec<_>>();
        let leaving = idle.into_iter().map(|class| self.take(class, self.classes[class].idle)).collect();
        self.classes.iter_mut().for_each(|class| class.idle = class.free.len());
        self.peak = self.peak.max(self.recent);
        (self.before, self.recent) = (self.recent, self.live);
        self.sweep_at = self.clock + (PATIENCE * self.held as u64).max(LEAST_PATIENCE);
        leaving
    }
}

impl Allocator {
    /// One that holds at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            classes: [Class::EMPTY; CLASSES],
            live: 0,
            recent: 0,
            before: 0,
            peak: 0,
            held: 0,
            clock: 0,
            sweep_at: LEAST_PATIENCE,
        };
        Allocator { locked: AtomicBool::new(false), state: UnsafeCell::new(state), limit }
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
            return Err(out_of_memory(bytes));
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
        let within = || self.with(|state| state.held.saturating_add(size) <= self.limit);
        let address = within().then(|| fresh(size)).flatten().or_else(|| {
            // What lies here unused may be what the system lacks.
            self.trim();
            within().then(|| fresh(size)).flatten()
        });
        let address = address.ok_or_else(|| out_of_memory(bytes))?;
        self.with(|state| {
            state.held += size;
            state.hand_out(size);
        });
        Ok((DeviceBuffer { address, bytes: size }, true))
    }

    /// Takes a buffer back. It came from `alloc`, and nobody uses it any more.
    #[inline]
    pub(crate) fn free(&self, buffer: DeviceBuffer) {
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
    // SAFETY: `size` bytes were just allocated. Written now, so that no buffer is ever uninitialized memory.
    unsafe { address.write_bytes(0, size) };
    Some(address as usize)
}

fn release_all(leaving: Leaving) {
    for (size, addresses) in leaving {
        addresses.into_iter().for_each(|address| release(size, address));
    }
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
        let allocator = Allocator::new(usize::MAX);
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

    /// Buffers of this size, taken and given back.
    fn use_once(allocator: &Allocator, sizes: &[usize]) {
        let buffers: Vec<DeviceBuffer> = sizes.iter().map(|&size| allocator.alloc(size).unwrap().0).collect();
        buffers.into_iter().for_each(|buffer| allocator.free(buffer));
    }

    const MIB: usize = 1 << 20;

    #[test]
    #[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
    fn sizes_that_come_once_do_not_pile_up() {
        // One tensor at a time, each of another size: as much again as the largest may be kept, not all of them.
        let allocator = Allocator::new(usize::MAX);
        for size in (8..=32).rev() {
            use_once(&allocator, &[size * MIB]);
            let MemoryStats { live, peak, cached } = allocator.stats();
            assert!(live == 0 && peak == 32 * MIB && cached <= 2 * peak, "{size}: {cached}");
        }
        // What was used last is still here.
        let (buffer, fresh) = allocator.alloc(8 * MIB).unwrap();
        assert!(!fresh);
        allocator.free(buffer);
    }

    #[test]
    #[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
    fn what_repeats_is_kept_and_the_rest_ages() {
        let allocator = Allocator::new(usize::MAX);
        let step = [3 * MIB, 5 * MIB, MIB, MIB];
        use_once(&allocator, &[40 * MIB, 2 * MIB]);
        use_once(&allocator, &step);
        let (steady, kept) = (step.iter().sum::<usize>(), allocator.stats().cached);
        assert!(kept >= steady + 42 * MIB, "{kept}");
        // Steps that repeat take nothing from the system, however many; what they do not need goes back.
        for _ in 0..400 {
            for size in step {
                let (buffer, fresh) = allocator.alloc(size).unwrap();
                assert!(!fresh);
                allocator.free(buffer);
            }
        }
        // Of two equal sizes at a time only one was needed.
        assert_eq!(allocator.stats().cached, steady - MIB);
        assert!(allocator.stats().peak >= 42 * MIB);
    }

    #[test]
    #[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
    fn small_buffers_in_use_stay_and_others_go() {
        let allocator = Allocator::new(usize::MAX);
        use_once(&allocator, &[4096; 1000]);
        for _ in 0..3 * LEAST_PATIENCE as usize / MIB {
            use_once(&allocator, &[4096; 10]);
            use_once(&allocator, &[MIB]);
        }
        assert_eq!(allocator.stats().cached, 40_960 + MIB);
    }

    /// What a sanitizer must stop: with its allocator and this one's exact sizes, the byte after a buffer is nobody's.
    /// `cargo xtask asan` runs it, and expects it to end the process.
    #[test]
    #[ignore = "reads beyond a buffer"]
    fn one_byte_beyond_a_buffer() {
        let (buffer, _) = Allocator::new(usize::MAX).alloc(100).unwrap();
        // SAFETY: none: that is what is to be seen.
        let beyond = unsafe { std::ptr::read_volatile((buffer.address as *const u8).add(100)) };
        assert_eq!(std::hint::black_box(beyond), beyond);
    }

    /// As above, of a buffer that was given back.
    #[test]
    #[ignore = "reads a buffer that was given back"]
    fn a_buffer_after_its_end() {
        let allocator = Allocator::new(usize::MAX);
        let (buffer, _) = allocator.alloc(100).unwrap();
        allocator.free(buffer);
        // SAFETY: none: that is what is to be seen.
        let after = unsafe { std::ptr::read_volatile(buffer.address as *const u8) };
        assert_eq!(std::hint::black_box(after), after);
    }

    #[test]
    #[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
    fn what_is_held_stays_within_the_limit() {
        let allocator = Allocator::new(1 << 20);
        let (a, _) = allocator.alloc(700 << 10).unwrap();
        assert_eq!(allocator.alloc(400 << 10).unwrap_err().kind(), ErrorKind::Memory);
        allocator.free(a);
        // What is kept makes room.
        let (b, _) = allocator.alloc(400 << 10).unwrap();
        assert_eq!(allocator.stats().cached, 0);
        allocator.free(b);
    }

    #[test]
    fn threads_share_it() {
        let allocator = Allocator::new(usize::MAX);
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
