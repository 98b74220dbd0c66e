//! The threads that teams are made of.

use super::fork;
use super::session::Team;
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

/// A number of threads to compute with: that of whoever calls [`run_in`](super::run_in), and workers that help it.
///
/// Workers are started when they are first needed; where the system starts none, the caller computes alone. Dropping the pool
/// ends them. In a child of `fork`, which has none of its parent's threads, a pool starts workers of its own.
pub struct ThreadPool {
    threads: usize,
    /// An [`Arc`]'s, of the workers of this process. One that belongs to a parent is replaced, and never freed.
    crew: AtomicPtr<Crew>,
}

impl ThreadPool {
    /// A pool of so many threads; 0 is as many as the machine has cores, or the environment's `KILN_THREADS` says.
    pub fn new(threads: usize) -> Self {
        let threads = if threads == 0 { default_threads() } else { threads };
        ThreadPool { threads, crew: AtomicPtr::new(Arc::into_raw(Crew::new(threads)).cast_mut()) }
    }

    /// Threads that a region uses at most.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The pool of those who name none.
    pub(super) fn global() -> &'static ThreadPool {
        static GLOBAL: OnceLock<ThreadPool> = OnceLock::new();
        GLOBAL.get_or_init(|| ThreadPool::new(0))
    }

    /// The workers of this process.
    pub(super) fn crew(&self) -> Arc<Crew> {
        loop {
            let crew = self.crew.load(Ordering::Acquire);
            // SAFETY: the pool owns a count of what it points to, and what it has pointed to before is never freed.
            unsafe {
                if (*crew).generation == fork::generation() {
                    Arc::increment_strong_count(crew);
                    return Arc::from_raw(crew);
                }
            }
            let new = Arc::into_raw(Crew::new(self.threads)).cast_mut();
            if self.crew.compare_exchange(crew, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: nobody has seen it.
                drop(unsafe { Arc::from_raw(new) });
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: the count that the pool owns.
        let crew = unsafe { Arc::from_raw(*self.crew.get_mut()) };
        if crew.generation == fork::generation() {
            crew.close();
        }
    }
}

fn default_threads() -> usize {
    let named = std::env::var("KILN_THREADS").ok().and_then(|threads| threads.trim().parse().ok());
    named.filter(|&threads| threads > 0).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// A pool's workers in one process.
pub(super) struct Crew {
    pub(super) generation: u64,
    workers: Box<[Worker]>,
    /// Threads that compute now: those that lead a team, and workers that are in one. Workers make way for leaders, so that
    /// sessions of several threads have no more threads together than one has alone.
    computing: AtomicUsize,
    closed: AtomicBool,
}

struct Worker {
    /// The team that it is called to, as an [`Arc`]'s pointer, and stays until it is back; null while it waits.
    team: AtomicPtr<Team>,
    /// `None` where it could not be started.
    thread: OnceLock<Option<Thread>>,
}

impl Crew {
    fn new(threads: usize) -> Arc<Crew> {
        fork::watch();
        let worker = || Worker { team: AtomicPtr::new(null_mut()), thread: OnceLock::new() };
        Arc::new(Crew {
            generation: fork::generation(),
            workers: (1..threads).map(|_| worker()).collect(),
            computing: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        })
    }

    fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// A leader comes, who is never refused.
    pub(super) fn begin(&self) {
        self.computing.fetch_add(1, Ordering::Relaxed);
    }

    /// A leader or a worker has done its part.
    pub(super) fn end(&self) {
        self.computing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether another worker may compute now.
    pub(super) fn has_room(&self) -> bool {
        self.computing.load(Ordering::Relaxed) < self.threads()
    }

    fn admit(&self) -> bool {
        let more = |computing| (computing < self.threads()).then_some(computing + 1);
        self.computing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// A worker's question whether it has to make way for a leader; if so, it no longer counts.
    pub(super) fn makes_way(&self) -> bool {
        let fewer = |computing| (computing > self.threads()).then_some(computing - 1);
        self.computing.load(Ordering::Relaxed) > self.threads()
            && self.computing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }

    /// Calls the workers that are free to a team.
    pub(super) fn call(self: &Arc<Self>, team: &Arc<Team>) {
        for (index, worker) in self.workers.iter().enumerate() {
            if !worker.team.load(Ordering::Relaxed).is_null() {
                continue;
            }
            let Some(thread) = worker.thread.get_or_init(|| self.start(index)) else { continue };
            if !self.admit() {
                return;
            }
            let called = Arc::into_raw(Arc::clone(team)).cast_mut();
            team.expects(1);
            if worker.team.compare_exchange(null_mut(), called, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                thread.unpark();
            } else {
                // Another leader was faster.
                team.expects(-1);
                self.end();
                // SAFETY: the count that was just made.
                drop(unsafe { Arc::from_raw(called) });
            }
        }
    }

    fn start(self: &Arc<Self>, index: usize) -> Option<Thread> {
        let crew = Arc::clone(self);
        let thread = thread::Builder::new().name(format!("kiln-{}", index + 1)).spawn(move || crew.work(index));
        thread.ok().map(|handle| handle.thread().clone())
    }

    /// A worker's life.
    fn work(&self, index: usize) {
        let called = &self.workers[index].team;
        loop {
            let team = called.load(Ordering::Acquire);
            if !team.is_null() {
                // SAFETY: the count that `call` made for this worker.
                let team = unsafe { Arc::from_raw(team) };
                if team.reside(index + 1, self) {
                    self.end();
                }
                called.store(ptr::null_mut(), Ordering::Release);
                team.expects(-1);
            } else if self.closed.load(Ordering::Acquire) {
                return;
            } else {
                thread::park();
            }
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.workers.iter().filter_map(|worker| worker.thread.get()?.as_ref()).for_each(Thread::unpark);
    }
}
