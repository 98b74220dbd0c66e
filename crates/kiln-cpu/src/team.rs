//! Parallel regions over a team of resident threads.
//!
//! Handing 10 µs of work to a sleeping thread costs 15–40 µs, and a training step is made of dozens of such regions with
//! short serial gaps between them. So [`run`] keeps workers *resident* for as long as its closure runs: each of them spins on
//! one word for the next region, and a region then costs well under a microsecond instead of a wake-up. A worker that finds
//! no region for [`SPIN`] goes to sleep; the next region calls it again.
//!
//! A session, which is a call of [`run`], stays on the thread that begins it. Nobody waits for a worker that has taken none of a
//! region's tasks: one which the system has descheduled, or which is with another session, only makes the region slower. So
//! sessions of several threads never wait for each other; they share a pool's workers, and a session that gets none computes
//! alone.
//!
//! A child of `fork` has the forking thread only. Its first region starts workers of its own, also inside a session that was
//! begun before. Fork between regions, from a thread that runs no task: what another thread was doing at the time stays half done
//! in the child, as with everything else in a process (a lock of the memory allocator that was held stays locked).

mod crew;
mod fork;
mod session;

pub use crew::ThreadPool;

use session::{Leader, lead};
use std::cell::Cell;
use std::ptr;
use std::thread::LocalKey;
use std::time::Duration;

/// How long a resident worker spins without work before it sleeps.
pub const SPIN: Duration = Duration::from_micros(200);

/// Runs `f` on this thread, with workers of the pool of all cores resident for its [`parallel`] regions. A loop of many small
/// regions, such as a training loop, belongs inside.
///
/// Nested calls run `f` as part of the session that there is. A panic in `f` releases the workers and reaches the caller.
///
/// ```
/// use kiln_cpu::team;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// let sum = AtomicU64::new(0);
/// team::run(|| {
///     for _ in 0..100 {
///         team::parallel(8, |i| {
///             sum.fetch_add(i as u64, Ordering::Relaxed);
///         });
///     }
/// });
/// assert_eq!(sum.into_inner(), 2800);
/// ```
pub fn run<R>(f: impl FnOnce() -> R) -> R {
    if IN_REGION.get() || !CURRENT.get().is_null() { f() } else { lead(ThreadPool::global(), f) }
}

/// [`run`] with the workers of a custom pool.
pub fn run_in<R>(pool: &ThreadPool, f: impl FnOnce() -> R) -> R {
    let nested = current().is_some_and(|leader| ptr::eq(leader.pool(), pool));
    if IN_REGION.get() || nested { f() } else { lead(pool, f) }
}

/// Runs `f` with its regions done by the calling thread alone: for threads beside the team, such as a data loader's
/// workers, which would otherwise take cores from the computation that they serve.
pub fn serial<R>(f: impl FnOnce() -> R) -> R {
    let _mark = Restore::set(&IN_REGION, true);
    f()
}

/// One parallel region: calls `f(0)`, …, `f(tasks - 1)`, each once, on any threads, and returns when all are done.
///
/// Tasks are dealt out in contiguous ranges, one a thread, and taken over by whoever is free; where nothing disturbs,
/// the same index runs on the same thread each time, so a cache still holds what it held. A task must not wait for another:
/// one thread may have to do them all. Serial where there is one task or one thread, or inside another region. Outside
/// [`run`] workers are called for this region alone, at the price of waking them.
///
/// A panic in a task skips the tasks not yet begun and reaches the caller when those begun have ended.
pub fn parallel<F: Fn(usize) + Sync>(tasks: usize, f: F) {
    if tasks <= 1 { (0..tasks).for_each(f) } else { share_out(tasks, &f) }
}

/// [`parallel`], out of line and of one type: its machinery is not compiled again for every closure.
#[inline(never)]
fn share_out(tasks: usize, f: &(dyn Fn(usize) + Sync)) {
    if IN_REGION.get() || tasks > u32::MAX as usize || threads() == 1 {
        return (0..tasks).for_each(f);
    }
    match current() {
        Some(leader) => leader.region(tasks, f),
        None => lead(ThreadPool::global(), || share_out(tasks, f)),
    }
}

/// The number of threads that a region begun here would use at most: 1 inside a region.
pub fn threads() -> usize {
    if IN_REGION.get() {
        return 1;
    }
    current().map_or_else(ThreadPool::global, Leader::pool).threads()
}

/// Whether a region begun here finds resident workers: it is then worth its while from about a microsecond of work
/// on; otherwise, where a thread has to be woken, only from some 40.
pub fn resident() -> bool {
    !CURRENT.get().is_null() && !IN_REGION.get()
}

thread_local! {
    /// The session that this thread leads, or null.
    static CURRENT: Cell<*const Leader<'static>> = const { Cell::new(ptr::null()) };
    /// Whether this thread is inside a task of a region, or does all of them by itself.
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
}

/// The session that this thread leads.
fn current<'a>() -> Option<&'a Leader<'a>> {
    // SAFETY: CURRENT points at what a frame of `lead` lower on this very thread's stack keeps alive, longer than its callers,
    // who do not let go of it.
    unsafe { CURRENT.get().cast::<Leader<'a>>().as_ref() }
}

/// Sets a thread-local cell, and puts the former value back when dropped, panics included.
struct Restore<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);

impl<T: Copy + 'static> Restore<T> {
    fn set(key: &'static LocalKey<Cell<T>>, value: T) -> Self {
        Restore(key, key.replace(value))
    }
}

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}
