//! Kernels with a fault planted in them: the simulator finds each, and names the thread and the line.
#![cfg(feature = "sim")]
#![allow(clippy::panic, clippy::unwrap_used)] // a panic is a test's report

mod common;

use common::{read, write};
use cuda_std::fault::SimFault;
use cuda_std::*;

/// The line of this file that ends with `// fault: <marker>`.
fn line_of(marker: &str) -> u32 {
    let marker = format!("// fault: {marker}");
    include_str!("faults.rs").lines().position(|line| line.trim_end().ends_with(&marker)).unwrap() as u32 + 1
}

/// The fault that a launch ended with.
fn fault(result: Result<(), LaunchError>) -> SimFault {
    match result {
        Err(LaunchError::Fault(fault)) => *fault,
        other => panic!("no fault was found, but {other:?}"),
    }
}

/// Checks a fault's place, and gives what it says of it.
fn at(fault: &SimFault, block: u32, thread: u32, marker: &str) -> String {
    assert_eq!((fault.block, fault.thread), ([block, 0, 0], [thread, 0, 0]), "{fault}");
    let site = fault.site.as_ref().unwrap();
    assert!(site.file.ends_with("faults.rs"), "{fault}");
    assert_eq!(site.line, line_of(marker), "{fault}");
    fault.what.clone()
}

/// The message that a refused launch ends with.
fn refusal(result: Result<(), LaunchError>) -> String {
    match result {
        Err(error @ LaunchError::Refused { .. }) => error.to_string(),
        other => panic!("it was not refused, but {other:?}"),
    }
}

const SHARED: Geometry = Geometry::linear(1, 64).with_shared(256);

fn me() -> usize {
    thread_idx_x() as usize
}

kernel! {
    #[max_threads = 256]
    fn read_beyond(x: Global<f32>, y: GlobalMut<f32>) {
        let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
        let next = x.get(i + 1); // fault: read
        y.set(i, next);
    }
}

#[test]
fn reads_beyond_the_end() {
    let (x, mut y) = (vec![0.0; 512], vec![0.0; 512]);
    let simulator = Simulator::new();
    let fault = fault(read_beyond { x: read(&x), y: write(&mut y) }.launch(&simulator, Geometry::linear(2, 256)));
    at(&fault, 1, 255, "read");
    let site = fault.site.as_ref().unwrap();
    let message = "read_beyond: thread (255,0,0) of block (1,0,0) reads element 512 of a buffer of 512";
    assert_eq!(fault.to_string(), format!("{message} ({site})"));
    // The simulator goes on after a fault.
    read_beyond { x: read(&x), y: write(&mut y) }.launch(&simulator, Geometry::linear(1, 256)).unwrap();
    assert_eq!(simulator.launches("read_beyond"), 2);
}

kernel! {
    #[max_threads = 256]
    fn write_beyond(y: GlobalMut<f32>) {
        let i = (block_idx_x() * block_dim_x() + thread_idx_x()) as usize;
        y.set(i, 1.0); // fault: write
    }
}

#[test]
fn writes_beyond_the_end() {
    let mut y = vec![0.0; 100];
    let fault = fault(write_beyond { y: write(&mut y) }.launch(&Simulator::new(), Geometry::cover(100, 64)));
    assert_eq!(at(&fault, 1, 36, "write"), "writes element 100 of a buffer of 100");
    assert_eq!(y, [1.0; 100]);
}

#[test]
fn of_many_faults_the_first_block_is_named() {
    for _ in 0..20 {
        let fault =
            fault(write_beyond { y: write(&mut [0.0; 100]) }.launch(&Simulator::new(), Geometry::linear(500, 32)));
        assert_eq!((fault.block[0], fault.thread[0]), (3, 4));
    }
}

kernel! {
    #[max_threads = 256]
    fn add_beyond(y: GlobalMut<u32>) {
        y.atomic_add(me(), 1); // fault: atomic
    }
}

#[test]
fn adds_beyond_the_end() {
    let fault = fault(add_beyond { y: write(&mut []) }.launch(&Simulator::new(), Geometry::linear(1, 32)));
    assert_eq!(at(&fault, 0, 0, "atomic"), "adds to element 0 of a buffer of 0");
}

kernel! {
    #[max_threads = 256]
    fn groups(x: Global<f32>, y: GlobalMut<f32>) {
        y.set4(me(), x.get4(me())); // fault: group
    }
}

#[test]
fn groups_of_four_are_whole_and_aligned() {
    #[repr(align(16))]
    struct Aligned([f32; 16]);
    let (x, mut y) = (Aligned([1.0; 16]), Aligned([0.0; 16]));
    let simulator = Simulator::new();
    let geometry = Geometry::linear(1, 3);
    groups { x: read(&x.0[..12]), y: write(&mut y.0) }.launch(&simulator, geometry).unwrap();
    let short = fault(groups { x: read(&x.0[..11]), y: write(&mut y.0) }.launch(&simulator, geometry));
    assert_eq!(at(&short, 0, 2, "group"), "reads element 11 of a buffer of 11");
    let odd = fault(groups { x: read(&x.0), y: write(&mut y.0[1..]) }.launch(&simulator, geometry));
    assert!(at(&odd, 0, 0, "group").ends_with("not a multiple of 16 bytes"), "{odd}");
}

kernel! {
    /// Rotates by one: the reader's barrier is missing.
    #[max_threads = 64]
    fn no_barrier(y: GlobalMut<u32>) {
        let shared = Shared::<u32>::at(0, 64);
        shared.set(me(), me() as u32); // fault: first write
        y.set(me(), shared.get((me() + 63) % 64)); // fault: read after write
    }
}

kernel! {
    /// The barrier is there, but the next round's writes do not wait for this round's reads.
    #[max_threads = 64]
    fn no_second_barrier(y: GlobalMut<u32>) {
        let shared = Shared::<u32>::at(0, 64);
        for round in 0..2 {
            shared.set(me(), round); // fault: write after read
            sync_threads();
            y.set(me(), shared.get((me() + 1) % 64));
        }
    }
}

kernel! {
    #[max_threads = 64]
    fn all_write_one(y: GlobalMut<u32>) {
        let shared = Shared::<u32>::at(0, 64);
        shared.set(0, me() as u32); // fault: write after write
        sync_threads();
        y.set(me(), shared.get(0));
    }
}

#[test]
fn missing_barriers() {
    let simulator = Simulator::new();
    let found = fault(no_barrier { y: write(&mut [0; 64]) }.launch(&simulator, SHARED));
    // Thread 0 reads what thread 63 has not written yet: without a barrier there is no saying what it finds.
    assert_eq!(
        at(&found, 0, 0, "read after write"),
        "reads shared element 63, which no thread of the block has written"
    );

    let found = fault(no_second_barrier { y: write(&mut [0; 64]) }.launch(&simulator, SHARED));
    let what = at(&found, 0, 1, "write after read");
    assert!(what.starts_with("writes shared element 1, which thread (0,0,0) read at "), "{what}");
    assert!(what.ends_with(", without a barrier between"), "{what}");

    let found = fault(all_write_one { y: write(&mut [0; 64]) }.launch(&simulator, SHARED));
    let what = at(&found, 0, 1, "write after write");
    assert!(what.starts_with("writes shared element 0, which thread (0,0,0) wrote at "), "{what}");
}

kernel! {
    /// Thread t reads what thread t - `distance` wrote, after a barrier of the warp alone.
    #[max_threads = 64]
    fn warp_barrier(y: GlobalMut<u32>, distance: u32, barrier: u32) {
        let shared = Shared::<u32>::at(0, 64);
        shared.set(me(), me() as u32);
        if barrier == 1 {
            sync_warp();
        }
        let from = me().saturating_sub(distance as usize);
        y.set(me(), shared.get(from)); // fault: warp
    }
}

#[test]
fn a_warps_barrier_orders_that_warp_alone() {
    let simulator = Simulator::new();
    let run = |distance, barrier| warp_barrier { y: write(&mut [0; 64]), distance, barrier }.launch(&simulator, SHARED);
    run(0, 0).unwrap();
    run(0, 1).unwrap();
    let across = fault(run(1, 1));
    assert!(
        at(&across, 0, 32, "warp").starts_with("reads shared element 31, which thread (31,0,0) wrote at "),
        "{across}"
    );
    let none = fault(run(1, 0));
    assert!(at(&none, 0, 1, "warp").starts_with("reads shared element 0, which thread (0,0,0) wrote at "), "{none}");
}

kernel! {
    /// Readers of two warps, then a writer: all of the readers count, not the last alone.
    #[max_threads = 64]
    fn many_readers(y: GlobalMut<u32>, writer: u32) {
        let shared = Shared::<u32>::at(0, 1);
        if me() == 0 {
            shared.set(0, 7);
        }
        sync_threads();
        y.set(me(), shared.get(0)); // fault: late reader
        sync_warp();
        if me() == writer as usize {
            shared.set(0, 8); // fault: readers
        }
    }
}

#[test]
fn a_writer_waits_for_all_readers() {
    for writer in [0, 31, 32, 63] {
        let fault = fault(many_readers { y: write(&mut [0; 64]), writer }.launch(&Simulator::new(), SHARED));
        if writer < 32 {
            // Warp 0 goes to its end before warp 1 reads.
            assert!(
                at(&fault, 0, 32, "late reader").contains(&format!("which thread ({writer},0,0) wrote at ")),
                "{fault}"
            );
        } else {
            assert!(at(&fault, 0, writer, "readers").contains("which another thread read at "), "{fault}");
        }
    }
}

kernel! {
    #[max_threads = 64]
    fn bytes(y: GlobalMut<u32>, clash: u32) {
        let small = Shared::<u8>::at(0, 64);
        let words = Shared::<u32>::at(0, 16);
        small.set(me() / (1 + clash as usize), 3); // fault: byte
        sync_threads();
        if me() < 16 {
            y.set(me(), words.get(me()));
        }
    }
}

#[test]
fn neighboring_bytes_are_different_elements() {
    let simulator = Simulator::new();
    let mut y = [0; 16];
    bytes { y: write(&mut y), clash: 0 }.launch(&simulator, SHARED).unwrap();
    assert_eq!(y, [0x03030303; 16]);
    at(&fault(bytes { y: write(&mut y), clash: 1 }.launch(&simulator, SHARED)), 0, 1, "byte");
}

kernel! {
    #[max_threads = 64]
    fn atomics(y: GlobalMut<u32>, mixed: u32) {
        let shared = Shared::<u32>::at(0, 1);
        if mixed != 2 {
            if me() == 0 {
                shared.set(0, 0);
            }
            sync_threads();
        }
        shared.atomic_add(0, 1); // fault: atomic on nothing
        if mixed == 0 {
            sync_threads();
        }
        y.set(me(), shared.get(0)); // fault: read after atomic
    }
}

#[test]
fn atomics_race_with_plain_accesses_only() {
    let simulator = Simulator::new();
    let mut y = [0; 64];
    atomics { y: write(&mut y), mixed: 0 }.launch(&simulator, SHARED).unwrap();
    assert_eq!(y, [64; 64]);
    let mixed = fault(atomics { y: write(&mut y), mixed: 1 }.launch(&simulator, SHARED));
    // Thread 0 may read its own sum; thread 1 then adds to what was read.
    assert!(
        at(&mixed, 0, 1, "atomic on nothing").starts_with("adds to shared element 0, which thread (0,0,0) read"),
        "{mixed}"
    );
    let nothing = fault(atomics { y: write(&mut y), mixed: 2 }.launch(&simulator, SHARED));
    assert!(at(&nothing, 0, 0, "atomic on nothing").ends_with("which no thread of the block has written"), "{nothing}");
}

kernel! {
    /// Only the first block writes: the second must not see what it left.
    #[max_threads = 64]
    fn uninitialized(y: GlobalMut<u32>) {
        let shared = Shared::<u32>::at(0, 64);
        if block_idx_x() == 0 {
            shared.set(me(), 1);
        }
        y.set(me(), shared.get(me())); // fault: uninitialized
    }
}

#[test]
fn shared_memory_begins_with_nothing() {
    let geometry = Geometry { grid: [2, 1, 1], ..SHARED };
    let fault = fault(uninitialized { y: write(&mut [0; 64]) }.launch(&Simulator::new(), geometry));
    let what = at(&fault, 1, 0, "uninitialized");
    assert_eq!(what, "reads shared element 0, which no thread of the block has written");
}

kernel! {
    #[max_threads = 64]
    fn windows(offset: u32, len: u32, i: u32) {
        let window = Shared::<f32>::at(offset as usize, len as usize); // fault: window
        window.set(i as usize, 1.0); // fault: window's end
        window.set4(0, Vector4::new(0.0, 0.0, 0.0, 0.0)); // fault: window's group
    }
}

#[test]
fn windows_stay_within_shared_memory() {
    let simulator = Simulator::new();
    let geometry = Geometry::linear(1, 1).with_shared(256);
    let run = |offset, len, i| windows { offset, len, i }.launch(&simulator, geometry);
    run(0, 64, 63).unwrap();
    run(240, 4, 0).unwrap();
    for (offset, len) in [(0, 65), (244, 4), (u32::MAX, 1)] {
        let what = at(&fault(run(offset, len, 0)), 0, 0, "window");
        assert_eq!(what, format!("makes a window of {len} elements from byte {offset} in 256 bytes of shared memory"));
    }
    let odd = fault(run(2, 4, 0));
    assert_eq!(at(&odd, 0, 0, "window"), "makes a window of 4-byte elements from byte 2");
    let beyond = fault(run(0, 4, 4));
    assert_eq!(at(&beyond, 0, 0, "window's end"), "writes element 4 of a shared window of 4");
    let group = fault(run(8, 4, 0));
    assert!(at(&group, 0, 0, "window's group").ends_with("at byte 8, not a multiple of 16"), "{group}");
}

kernel! {
    #[max_threads = 64]
    fn barrier_after_return(n: u32) {
        if thread_idx_x() >= n {
            return;
        }
        sync_threads(); // fault: barrier
    }
}

kernel! {
    #[max_threads = 64]
    fn barriers_in_both_arms(n: u32) {
        if thread_idx_x() < n {
            sync_threads(); // fault: one arm
        } else {
            sync_threads(); // fault: other arm
        }
    }
}

kernel! {
    #[max_threads = 64]
    fn shuffle_in_a_branch(y: GlobalMut<u32>) {
        if thread_idx_x() != 3 {
            y.set(me(), warp_shuffle_xor(thread_idx_x(), 1)); // fault: shuffle
        }
    }
}

kernel! {
    #[max_threads = 64]
    fn shuffle_meets_barrier() {
        if thread_idx_x() == 0 {
            sync_threads();
        } else {
            sync_warp();
        }
    }
}

#[test]
fn divergent_barriers() {
    let simulator = Simulator::new();
    barrier_after_return { n: 64 }.launch(&simulator, SHARED).unwrap();
    barrier_after_return { n: 0 }.launch(&simulator, SHARED).unwrap();
    let returned = fault(barrier_after_return { n: 40 }.launch(&simulator, SHARED));
    assert_eq!(at(&returned, 0, 0, "barrier"), "waits in sync_threads, but thread (40,0,0) has ended");

    barriers_in_both_arms { n: 0 }.launch(&simulator, SHARED).unwrap();
    let arms = fault(barriers_in_both_arms { n: 5 }.launch(&simulator, SHARED));
    let what = at(&arms, 0, 0, "one arm");
    assert!(what.starts_with("waits in sync_threads, but thread (5,0,0) waits in sync_threads at "), "{what}");
    assert!(what.ends_with(&format!(":{}", line_of("other arm"))), "{what}");

    let shuffle = fault(shuffle_in_a_branch { y: write(&mut [0; 64]) }.launch(&simulator, SHARED));
    assert_eq!(at(&shuffle, 0, 0, "shuffle"), "waits in warp_shuffle_xor, but thread (3,0,0) has ended");

    let mixed = fault(shuffle_meets_barrier {}.launch(&simulator, SHARED));
    assert!(mixed.what.starts_with("waits in sync_threads, but thread (1,0,0) waits in sync_warp at "), "{mixed}");
}

kernel! {
    #[max_threads = 64]
    fn part_of_a_warp(y: GlobalMut<u32>) {
        let everyone = warp_vote_all(true) && warp_ballot(true).count_ones() == 32.min(block_dim_x());
        y.set(me(), warp_shuffle_down(u32::from(everyone), 1)); // fault: part
    }
}

#[test]
fn lanes_that_do_not_exist_give_nothing() {
    let simulator = Simulator::new();
    part_of_a_warp { y: write(&mut [0; 32]) }.launch(&simulator, Geometry::linear(1, 32)).unwrap();
    let fault = fault(part_of_a_warp { y: write(&mut [0; 32]) }.launch(&simulator, Geometry::linear(1, 20)));
    assert_eq!(at(&fault, 0, 19, "part"), "takes a value from lane 20 of a warp of 20 threads");
}

kernel! {
    /// Threads wait with values to drop, and one of them panics.
    #[max_threads = 64]
    fn panics(y: GlobalMut<u32>, table: u32) {
        struct Counted(GlobalMut<u32>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.set(0, self.0.get(0) + 1);
            }
        }
        let _counted = Counted(y);
        let odd = [1u32, 3, 5, 7];
        sync_threads();
        if thread_idx_x() == 5 {
            y.set(1, odd[table as usize]); // fault: panic
        }
        sync_threads();
    }
}

#[test]
fn a_panic_is_a_fault() {
    let simulator = Simulator::new();
    let mut y = [0; 2];
    panics { y: write(&mut y), table: 3 }.launch(&simulator, SHARED).unwrap();
    assert_eq!(y, [64, 7]);
    let found = fault(panics { y: write(&mut y), table: 4 }.launch(&simulator, SHARED));
    assert_eq!(at(&found, 0, 5, "panic"), "panics: index out of bounds: the len is 4 but the index is 4");
    assert_eq!(y, [128, 7], "threads that wait are unwound");
}

kernel! {
    #[max_threads = 96]
    #[max_shared = 1024]
    fn limited() {}
}

kernel! {
    #[max_threads = 1024]
    fn unlimited() {}
}

#[test]
fn geometry_beyond_the_limits_is_refused() {
    let simulator = Simulator::new();
    let run = |grid, block, shared_bytes| limited {}.launch(&simulator, Geometry { grid, block, shared_bytes });
    run([1, 1, 1], [8, 4, 3], 1024).unwrap();
    let start = "limited cannot be launched with ";
    for (grid, block, shared, message) in [
        ([1, 1, 1], [8, 4, 4], 0, "a block of 128 threads; the kernel declares at most 96"),
        ([1, 1, 1], [1, 1, 65], 0, "a block of 65 threads along z; it may have 1 to 64"),
        ([1, 1, 1], [32, 0, 1], 0, "a block of 0 threads along y; it may have 1 to 1024"),
        ([0, 1, 1], [32, 1, 1], 0, "a grid of 0 blocks along x; it may have 1 to 2147483647"),
        ([1, 1, 65536], [32, 1, 1], 0, "a grid of 65536 blocks along z; it may have 1 to 65535"),
        ([1, 1, 1], [32, 1, 1], 1028, "1028 bytes of shared memory for a block; the kernel declares at most 1024"),
    ] {
        assert_eq!(refusal(run(grid, block, shared)), format!("{start}{message}"));
    }
    assert_eq!(simulator.launches("limited"), 1);
    refusal(limited {}.launch(&simulator, Geometry::cover(usize::MAX, 32)));
    refusal(limited {}.launch(&simulator, Geometry::cover(10, 0)));
    unlimited {}.launch(&simulator, Geometry::linear(1, 1024).with_shared(48 << 10)).unwrap();
    refusal(unlimited {}.launch(&simulator, Geometry::linear(1, 1).with_shared((48 << 10) + 1)));
    refusal(unlimited {}.launch(&simulator, Geometry::linear(1, 1025)));
}

thread_local! {
    /// What a kernel keeps for another launch.
    static KEPT: std::cell::Cell<Option<GlobalMut<f32>>> = const { std::cell::Cell::new(None) };
}

kernel! {
    #[max_threads = 1]
    fn keep(y: GlobalMut<f32>) {
        KEPT.set(Some(y));
    }
}

kernel! {
    #[max_threads = 1]
    fn use_kept(x: Global<f32>, write: u32) {
        let Some(kept) = KEPT.get() else { return };
        let first = kept.get(0);
        if write != 0 {
            kept.set(0, first + x.get(0));
        }
    }
}

#[test]
fn a_view_that_was_kept_from_another_launch_is_of_no_use() {
    let (simulator, one) = (Simulator::new(), Geometry::linear(1, 1));
    let (x, mut y) = ([1.0], [2.0]);
    let view = write(&mut y);
    keep { y: view }.launch(&simulator, one).unwrap();
    let found = fault(use_kept { x: read(&x), write: 0 }.launch(&simulator, one));
    assert_eq!(found.what, "reads through a view that its launch was not given");
    // SAFETY: the same memory, which lives.
    let (given, smaller) = unsafe { (Global::from_raw(view.address(), 1), Global::from_raw(view.address(), 0)) };
    use_kept { x: given, write: 0 }.launch(&simulator, one).unwrap();
    let found = fault(use_kept { x: given, write: 1 }.launch(&simulator, one));
    assert_eq!(found.what, "writes through a view that its launch was not given");
    let found = fault(use_kept { x: smaller, write: 0 }.launch(&simulator, one));
    assert_eq!(found.what, "reads through a view that its launch was not given");
    assert_eq!(y, [2.0]);
}
