//! Parallel regions over a team of resident threads.
//!
//! Handing 10 µs of work to a sleeping thread costs 15–40 µs, and a training step is made of dozens of such regions with
//! short serial gaps between them. So [`run`] keeps rayon's workers *resident* for as long as its closure runs: each of
//! them spins on one word for the next region (and serves rayon's own jobs in between), and a region then costs well
//! under a microsecond instead of a wake-up. A worker that finds no region for [`SPIN`] goes back to rayon, which puts
//! it to sleep; the next region calls it again.
//!
//! A region never waits for a thread that has taken none of its tasks: a worker which the system has descheduled, or
//! which is busy with another of rayon's jobs, only makes the region slower.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::LocalKey;
use std::time::{Duration, Instant};

/// How long a resident worker spins without work before it returns to rayon's own idle loop.
pub const SPIN: Duration = Duration::from_micros(200);

/// Runs `f` on a worker of the current rayon pool (the global one where the caller is in none), with the pool's other
/// workers resident for its [`parallel`] regions. A loop of many small regions, such as a training loop, belongs inside.
///
/// Nested calls run `f` in place. A panic in `f` releases the workers and reaches the caller.
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
pub fn run<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if IN_REGION.get() || !CURRENT.get().is_null() {
        return f();
    }
    // `scope` moves a caller from outside onto a worker of the global pool, and stays in place on a worker of any pool.
    rayon::scope(|_| lead(f))
}

/// [`run`] in the given pool.
pub fn run_in<R: Send>(pool: &rayon::ThreadPool, f: impl FnOnce() -> R + Send) -> R {
    pool.install(|| run(f))
}

/// Runs `f` with its regions done by the calling thread alone: for threads beside the pool, such as a data loader's
/// workers, which would otherwise take the pool's threads from the computation that they serve.
pub fn serial<R>(f: impl FnOnce() -> R) -> R {
    let _mark = Restore::set(&IN_REGION, true);
    f()
}

/// One parallel region: calls `f(0)`, …, `f(tasks - 1)`, each once, on any threads, and returns when all are done.
///
/// Tasks are dealt out in contiguous ranges, one a thread, and taken over by whoever is free; where nothing disturbs,
/// the same index runs on the same thread each time, so a cache still holds what it held. Serial where there is one
/// task or one thread, or inside another region. Outside [`run`] rayon's pool carries it, at the price of waking it.
///
/// A panic in a task skips the tasks not yet begun and reaches the caller when those begun have ended.
pub fn parallel<F: Fn(usize) + Sync>(tasks: usize, f: F) {
    if tasks <= 1 { (0..tasks).for_each(f) } else { share_out(tasks, &f) }
}

/// [`parallel`], out of line and of one type: its machinery is not compiled again for every closure.
#[inline(never)]
fn share_out(tasks: usize, f: &(dyn Fn(usize) + Sync)) {
    if IN_REGION.get() || tasks > u32::MAX as usize {
        return (0..tasks).for_each(f);
    }
    let team = CURRENT.get();
    if !team.is_null() {
        // SAFETY: CURRENT points at the team which a frame of `lead` lower on this very thread's stack keeps alive.
        return unsafe { &*team }.region(tasks, &f);
    }
    let threads = rayon::current_num_threads();
    if threads <= 1 {
        return (0..tasks).for_each(f);
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let _mark = Restore::set(&IN_REGION, true);
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            f(task);
        }
    };
    rayon::scope(|scope| {
        for _ in 1..threads.min(tasks) {
            scope.spawn(|_| work());
        }
        work();
    });
}

/// The number of threads that a region begun here would use: 1 inside a region.
pub fn threads() -> usize {
    if IN_REGION.get() {
        return 1;
    }
    let team = CURRENT.get();
    if team.is_null() {
        return rayon::current_num_threads().max(1);
    }
    // SAFETY: as in `parallel`.
    unsafe { &*team }.slots.len()
}

/// Whether a region begun here finds resident workers: it is then worth its while from about a microsecond of work
/// on; otherwise, where rayon may have to wake a thread, only from some 40.
pub fn resident() -> bool {
    !CURRENT.get().is_null() && !IN_REGION.get()
}

thread_local! {
    /// The team that this thread leads, or null.
    static CURRENT: Cell<*const Team> = const { Cell::new(ptr::null()) };
    /// The team that this thread is resident in, or null.
    static RESIDENT: Cell<*const Team> = const { Cell::new(ptr::null()) };
    /// Whether this thread is inside a task of a region.
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
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

/// Leads a team for the length of `f`. The caller is on a worker of a pool.
fn lead<R>(f: impl FnOnce() -> R) -> R {
    let threads = rayon::current_num_threads();
    let Some(leader) = rayon::current_thread_index().filter(|_| threads > 1) else { return f() };
    /// Sends the residents home, whether `f` returns or panics.
    struct Dismiss<'a>(&'a Team);
    impl Drop for Dismiss<'_> {
        fn drop(&mut self) {
            self.0.epoch.0.store(CLOSED, Ordering::SeqCst);
        }
    }
    let team = Team::new(threads, leader);
    let _current = Restore::set(&CURRENT, Arc::as_ptr(&team));
    let _dismiss = Dismiss(&team);
    team.invite_missing();
    f()
}

/// The epoch of a team whose leader has left. Open regions have odd epochs.
const CLOSED: usize = usize::MAX - 1;

/// A word on a cache line (and its neighbour, which is fetched with it) of its own.
#[repr(align(128))]
struct Line<T>(T);

/// What the members of a team share. Residents hold it by `Arc`, so one that comes late finds it closed, not gone.
struct Team {
    /// Even between regions, odd while one is open, [`CLOSED`] at last. Written by the leader alone.
    epoch: Line<AtomicUsize>,
    /// Members that may be reading `job` or running tasks: a region ends when this is 0 after its epoch was closed.
    active: Line<AtomicUsize>,
    /// The open region. Written by the leader while `active` is 0 and the epoch even.
    job: Line<UnsafeCell<Job>>,
    /// The tasks nobody has taken, one range a thread: `start` in the low half, `end` in the high half.
    slots: Box<[Line<AtomicU64>]>,
    /// The rayon index of the leading thread, whose slot is the first.
    leader: usize,
    /// Residents, and invitations not yet answered.
    expected: AtomicUsize,
    /// The leader's own: when it last invited, so that workers which decline are not asked without end.
    invited: Cell<Option<Instant>>,
    panicked: AtomicBool,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
    this: Weak<Team>,
}

// SAFETY: `job` is written only by the leader, while no member is between `enter` and `leave` (`region` has waited for
// `active` to become 0, and `enter` refuses while the epoch is even), and read only between the two. `invited` is only
// touched by the leader's thread. Everything else is Sync by itself.
unsafe impl Sync for Team {}
// SAFETY: nothing in a Team belongs to a thread; `invited` is plain data, and `job` points to a closure that is `Sync`.
unsafe impl Send for Team {}

/// A closure `Fn(usize) + Sync` with its type and lifetime erased; the region's frame keeps it alive.
#[derive(Clone, Copy)]
struct Job {
    data: *const (),
    call: unsafe fn(*const (), usize),
}

impl Job {
    fn none() -> Job {
        /// Runs no task.
        unsafe fn nothing(_: *const (), _: usize) {}
        Job { data: ptr::null(), call: nothing }
    }

    fn new<F: Fn(usize) + Sync>(f: &F) -> Job {
        /// # Safety
        /// `data` is a reference to a live `F`.
        unsafe fn call<F: Fn(usize)>(data: *const (), task: usize) {
            // SAFETY: as promised by the caller.
            unsafe { (*data.cast::<F>())(task) }
        }
        Job { data: ptr::from_ref(f).cast(), call: call::<F> }
    }
}

fn pack(start: usize, end: usize) -> u64 {
    (end as u64) << 32 | start as u64
}

impl Team {
    fn new(threads: usize, leader: usize) -> Arc<Team> {
        Arc::new_cyclic(|this| Team {
            epoch: Line(AtomicUsize::new(0)),
            active: Line(AtomicUsize::new(0)),
            job: Line(UnsafeCell::new(Job::none())),
            slots: (0..threads).map(|_| Line(AtomicU64::new(0))).collect(),
            leader,
            expected: AtomicUsize::new(0),
            invited: Cell::new(None),
            panicked: AtomicBool::new(false),
            payload: Mutex::new(None),
            this: this.clone(),
        })
    }

    /// The leader's: sends as many invitations into the pool as members are missing.
    fn invite_missing(&self) {
        let members = self.slots.len() - 1;
        let missing = members.saturating_sub(self.expected.load(Ordering::Relaxed));
        if missing == 0 {
            return;
        }
        let now = Instant::now();
        if self.invited.get().is_some_and(|last| now.duration_since(last) < SPIN / 4) {
            return;
        }
        self.invited.set(Some(now));
        for _ in 0..missing {
            if let Some(team) = self.this.upgrade() {
                self.expected.fetch_add(1, Ordering::Relaxed);
                rayon::spawn(move || {
                    team.reside();
                    team.expected.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    }

    /// The leader's: one region.
    fn region<F: Fn(usize) + Sync>(&self, tasks: usize, f: &F) {
        self.invite_missing();
        let threads = self.slots.len();
        // SAFETY: the epoch is even and `active` was 0 after it became so; see `impl Sync`.
        unsafe { *self.job.0.get() = Job::new(f) };
        for (i, slot) in self.slots.iter().enumerate() {
            let bound = |i: usize| (i * tasks).div_ceil(threads);
            slot.0.store(pack(bound(i), bound(i + 1)), Ordering::Relaxed);
        }
        let open = self.epoch.0.load(Ordering::Relaxed) + 1;
        self.epoch.0.store(open, Ordering::SeqCst);
        let mark = Restore::set(&IN_REGION, true);
        self.work(0);
        // Every task has been taken. Members still at theirs are awaited; members not yet in are turned away.
        self.epoch.0.store(open + 1, Ordering::SeqCst);
        let mut spins = 0_u32;
        while self.active.0.load(Ordering::SeqCst) != 0 {
            spins = spins.saturating_add(1);
            if spins < 2000 {
                std::hint::spin_loop();
            } else if spins.is_multiple_of(64) {
                // A member's task may itself be waiting for the pool.
                rayon::yield_now();
            } else {
                std::thread::yield_now();
            }
        }
        drop(mark);
        if self.panicked.load(Ordering::Relaxed) {
            self.panicked.store(false, Ordering::Relaxed);
            if let Some(payload) = self.payload.lock().unwrap_or_else(PoisonError::into_inner).take() {
                resume_unwind(payload);
            }
        }
    }

    /// Takes tasks until none is left, those of slot `own` first. Called by the leader, or between `enter` and `leave`.
    fn work(&self, own: usize) {
        // SAFETY: written before the epoch opened, not again before this member is out; see `impl Sync`.
        let job = unsafe { *self.job.0.get() };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let (before, after) = self.slots.split_at(own);
            for slot in after.iter().chain(before) {
                while let Some(task) = take(&slot.0) {
                    // SAFETY: the region's frame, which waits for this member, keeps the closure alive.
                    unsafe { (job.call)(job.data, task) };
                }
            }
        }));
        if let Err(payload) = outcome {
            for slot in &self.slots {
                slot.0.store(0, Ordering::Relaxed);
            }
            self.payload.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            // Ordered for the leader by `leave`, or by being the leader.
            self.panicked.store(true, Ordering::Relaxed);
        }
    }

    /// A worker's: takes part in the regions of this team until it closes or none comes for [`SPIN`].
    fn reside(&self) {
        // A worker that leads a team, or is resident in an open one, must get back to it: it declines. (It gets here
        // when it serves rayon's jobs while it waits.)
        let resident = RESIDENT.get();
        // SAFETY: RESIDENT points at the team which a frame of `reside` lower on this thread's stack borrows.
        let busy = !resident.is_null() && unsafe { &*resident }.epoch.0.load(Ordering::Relaxed) != CLOSED;
        if busy || !CURRENT.get().is_null() || IN_REGION.get() {
            return;
        }
        let Some(index) = rayon::current_thread_index() else { return };
        let slot = (index + self.slots.len() - self.leader) % self.slots.len();
        let _resident = Restore::set(&RESIDENT, ptr::from_ref(self));
        let mut idle_since = Instant::now();
        let (mut seen, mut last) = (0, 0);
        loop {
            for _ in 0..64 {
                let epoch = self.epoch.0.load(Ordering::Acquire);
                if epoch == CLOSED {
                    return;
                }
                if epoch % 2 == 1 && epoch != seen {
                    seen = epoch;
                    if self.enter(epoch) {
                        let mark = Restore::set(&IN_REGION, true);
                        self.work(slot);
                        drop(mark);
                        self.active.0.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                std::hint::spin_loop();
            }
            // A region that the leader did alone counts as well: the next one may be larger.
            if last != self.epoch.0.load(Ordering::Relaxed) {
                last = self.epoch.0.load(Ordering::Relaxed);
                idle_since = Instant::now();
            } else if idle_since.elapsed() > SPIN {
                return;
            }
            rayon::yield_now();
        }
    }

    /// Registers this member with the region of `epoch`; false where that has closed meanwhile.
    fn enter(&self, epoch: usize) -> bool {
        // Either the leader sees this increment after closing the epoch, and waits, or this member sees it closed:
        // all four accesses are SeqCst.
        self.active.0.fetch_add(1, Ordering::SeqCst);
        let open = self.epoch.0.load(Ordering::SeqCst) == epoch;
        if !open {
            self.active.0.fetch_sub(1, Ordering::SeqCst);
        }
        open
    }
}

/// Takes the first task of a slot's range.
fn take(slot: &AtomicU64) -> Option<usize> {
    let mut range = slot.load(Ordering::Relaxed);
    loop {
        let (start, end) = (range as u32, (range >> 32) as u32);
        if start >= end {
            return None;
        }
        match slot.compare_exchange_weak(range, range + 1, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some(start as usize),
            Err(now) => range = now,
        }
    }
}
