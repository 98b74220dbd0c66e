//! The allocator's tests.

use super::Allocator;
use super::classes::{ALIGN, CLASSES, LARGEST, class, size_of_class};
use super::state::LEAST_PATIENCE;
use super::system::HUGE;
use crate::{DeviceBuffer, ErrorKind, MemoryStats};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

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
#[cfg_attr(kiln_exact_alloc, ignore = "nothing is kept")]
fn what_the_system_lacks_is_refused_before_it_is_used() {
    static LEFT: AtomicUsize = AtomicUsize::new(0);
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let left = || {
        ASKED.fetch_add(1, Relaxed);
        Some(LEFT.load(Relaxed))
    };
    let allocator = Allocator::beside(1 << 40, left);
    LEFT.store(3 * MIB, Relaxed);
    // The kernel would promise it, and end the process where it is written.
    let error = allocator.alloc(1 << 39).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("out of memory: 550 GB were asked for; tensors hold 0 bytes, 3.15 MB of 1.10 TB are free;"),
        "{error}"
    );
    let (a, _) = allocator.alloc(2 * MIB).unwrap();
    LEFT.store(MIB, Relaxed);
    assert_eq!(allocator.alloc(2 * MIB).unwrap_err().kind(), ErrorKind::Memory);
    // What is kept makes room.
    allocator.free(a);
    let (b, fresh) = allocator.alloc(2 * MIB).unwrap();
    assert!(!fresh);
    // Where there is plenty, the system is asked after 64 MiB, not for each buffer.
    LEFT.store(1 << 39, Relaxed);
    let (c, _) = allocator.alloc(MIB).unwrap();
    let asked = ASKED.load(Relaxed);
    let more: Vec<_> = (0..64).map(|_| allocator.alloc(MIB).unwrap().0).collect();
    assert_eq!(ASKED.load(Relaxed), asked);
    let (d, _) = allocator.alloc(MIB).unwrap();
    assert_eq!(ASKED.load(Relaxed), asked + 1);
    more.into_iter().chain([b, c, d]).for_each(|buffer| allocator.free(buffer));
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
