//! The threads that teams are made of: rayon's, called for the length of a team.

use super::fork;
use super::session::Team;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

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
        if crew.generation != fork::generation() {
            // Of a parent, whose threads are not here to be ended.
            std::mem::forget(crew);
        }
    }
}

fn default_threads() -> usize {
    let named = std::env::var("KILN_THREADS").ok().and_then(|threads| threads.trim().parse().ok());
    named.filter(|&threads| threads > 0).unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// A pool's workers in one process: threads of rayon, which start, wake and end them.
pub(super) struct Crew {
    pub(super) generation: u64,
    threads: usize,
    /// Started when first needed; `None` where no thread can be started.
    workers: OnceLock<Option<rayon::ThreadPool>>,
    /// Workers that are called, on their way or in a team.
    called: AtomicUsize,
    /// Threads that compute now: those that lead a team, and workers that are in one. Workers make way for leaders, so that
    /// sessions of several threads have no more threads together than one has alone.
    computing: AtomicUsize,
}

impl Crew {
    fn new(threads: usize) -> Arc<Crew> {
        fork::watch();
        Arc::new(Crew {
            generation: fork::generation(),
            threads,
            workers: OnceLock::new(),
            called: AtomicUsize::new(0),
            computing: AtomicUsize::new(0),
        })
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
        self.computing.load(Ordering::Relaxed) < self.threads
    }

    /// A worker's question whether it has to make way for a leader; if so, it no longer counts.
    pub(super) fn makes_way(&self) -> bool {
        let fewer = |computing| (computing > self.threads).then_some(computing - 1);
        self.computing.load(Ordering::Relaxed) > self.threads
            && self.computing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }

    /// Calls the workers that are free to a team.
    pub(super) fn call(self: &Arc<Self>, team: &Arc<Team>) {
        let Some(workers) = self.workers.get_or_init(|| start(self.threads - 1)) else { return };
        let below = |most: usize| move |count: usize| (count < most).then_some(count + 1);
        while one_more(&self.called, below(workers.current_num_threads())) {
            if !one_more(&self.computing, below(self.threads)) {
                self.called.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            team.expects(1);
            let (crew, team) = (Arc::clone(self), Arc::clone(team));
            workers.spawn(move || {
                // A thread has the same place in every team, so that its cache still holds what it held.
                let slot = 1 + rayon::current_thread_index().unwrap_or(0);
                if team.reside(slot, &crew) {
                    crew.end();
                }
                crew.called.fetch_sub(1, Ordering::Relaxed);
                team.expects(-1);
            });
        }
    }
}

fn one_more(count: &AtomicUsize, next: impl FnMut(usize) -> Option<usize>) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
}

/// So many threads, or as many of them as the system starts.
fn start(threads: usize) -> Option<rayon::ThreadPool> {
    let named = |index| format!("kiln-{}", index + 1);
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(named).build().ok();
    std::iter::successors(Some(threads), |&threads| Some(threads / 2)).take_while(|&threads| threads > 0).find_map(pool)
}
