//! A team at work: a leader, and workers that are with it.

use super::crew::{Crew, ThreadPool};
use super::{CURRENT, IN_REGION, Restore, SPIN, fork};
use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What the leading thread knows of its session.
pub(super) struct Leader<'p> {
    pool: &'p ThreadPool,
    session: RefCell<Session>,
    /// When it last called, so that workers which leave are not called without end.
    called: Cell<Option<Instant>>,
}

/// A team and where its workers come from.
struct Session {
    team: Arc<Team>,
    crew: Arc<Crew>,
}

impl Session {
    fn begin(pool: &ThreadPool) -> Self {
        let crew = pool.crew();
        crew.begin();
        Session { team: Team::new(pool.threads()), crew }
    }
}

impl Drop for Session {
    /// Sends the workers home, whether the session's closure returns or panics.
    fn drop(&mut self) {
        self.team.epoch.0.store(CLOSED, Ordering::SeqCst);
        self.crew.end();
    }
}

/// Leads a team for the length of `f`, on this thread.
pub(super) fn lead<R>(pool: &ThreadPool, f: impl FnOnce() -> R) -> R {
    let leader = Leader { pool, session: RefCell::new(Session::begin(pool)), called: Cell::new(None) };
    leader.call_missing(&leader.session.borrow());
    let _current = Restore::set(&CURRENT, ptr::from_ref(&leader).cast());
    f()
}

impl Leader<'_> {
    pub(super) fn pool(&self) -> &ThreadPool {
        self.pool
    }

    /// One region.
    pub(super) fn region(&self, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        if self.session.borrow().crew.generation != fork::generation() {
            // The first region in a child: its parent's workers are not here.
            std::mem::forget(self.session.replace(Session::begin(self.pool)));
        }
        let session = self.session.borrow();
        self.call_missing(&session);
        session.team.region(tasks, &f);
    }

    fn call_missing(&self, session: &Session) {
        let Session { team, crew } = session;
        if team.expected.load(Ordering::Relaxed) + 1 < team.slots.len() as isize && crew.has_room() {
            let now = Instant::now();
            if self.called.get().is_none_or(|last| now.duration_since(last) >= SPIN / 4) {
                self.called.set(Some(now));
                crew.call(team);
            }
        }
    }
}

/// The epoch of a team whose leader has left. Open regions have odd epochs.
const CLOSED: usize = usize::MAX - 1;

/// A word on a cache line (and its neighbor, which is fetched with it) of its own.
#[repr(align(128))]
struct Line<T>(T);

/// What the members of a team share. Workers hold it by `Arc`, so one that comes late finds it closed, not gone.
pub(super) struct Team {
    /// Even between regions, odd while one is open, [`CLOSED`] at last. Written by the leader alone.
    epoch: Line<AtomicUsize>,
    /// Members that may be reading `job` or running tasks: a region ends when this is 0 after its epoch was closed.
    active: Line<AtomicUsize>,
    /// The open region. Written by the leader while `active` is 0 and the epoch even.
    job: Line<UnsafeCell<Job>>,
    /// The tasks nobody has taken, one range a thread: `start` in the low half, `end` in the high half. The first is the leader's.
    slots: Box<[Line<AtomicU64>]>,
    /// Workers that are here or on their way.
    expected: AtomicIsize,
    panicked: AtomicBool,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only by the leader, while no member is between `enter` and `leave` (`region` has waited for
// `active` to become 0, and `enter` refuses while the epoch is even), and read only between the two. Everything else is Sync
// by itself.
unsafe impl Sync for Team {}
// SAFETY: nothing in a Team belongs to a thread; `job` points to a closure that is `Sync`.
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
    fn new(threads: usize) -> Arc<Team> {
        Arc::new(Team {
            epoch: Line(AtomicUsize::new(0)),
            active: Line(AtomicUsize::new(0)),
            job: Line(UnsafeCell::new(Job::none())),
            slots: (0..threads).map(|_| Line(AtomicU64::new(0))).collect(),
            expected: AtomicIsize::new(0),
            panicked: AtomicBool::new(false),
            payload: Mutex::new(None),
        })
    }

    /// Counts workers that are called, and those that are back.
    pub(super) fn expects(&self, workers: isize) {
        self.expected.fetch_add(workers, Ordering::Relaxed);
    }

    /// The leader's: one region.
    fn region<F: Fn(usize) + Sync>(&self, tasks: usize, f: &F) {
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
            if spins < 2000 { std::hint::spin_loop() } else { std::thread::yield_now() }
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

    /// A worker's: takes part in the regions of this team, with a slot of its own, until the team closes, none comes for
    /// [`SPIN`], or a leader needs the worker's core. Whether it still counts among those that compute.
    pub(super) fn reside(&self, slot: usize, crew: &Crew) -> bool {
        let _mark = Restore::set(&IN_REGION, true);
        let mut idle_since = Instant::now();
        let (mut seen, mut last) = (0, 0);
        loop {
            for _ in 0..64 {
                let epoch = self.epoch.0.load(Ordering::Acquire);
                if epoch == CLOSED {
                    return true;
                }
                if epoch % 2 == 1 && epoch != seen {
                    seen = epoch;
                    if self.enter(epoch) {
                        self.work(slot);
                        self.active.0.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                std::hint::spin_loop();
            }
            if crew.makes_way() {
                return false;
            }
            // A region that the leader did alone counts as well: the next one may be larger.
            if last != self.epoch.0.load(Ordering::Relaxed) {
                last = self.epoch.0.load(Ordering::Relaxed);
                idle_since = Instant::now();
            } else if idle_since.elapsed() > SPIN {
                return true;
            }
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
