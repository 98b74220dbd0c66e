//! The threads that are computed with.

use kiln::{Result, ThreadPool};
use std::num::NonZeroUsize;

/// Runs `f` with a pool of so many threads, or with the default one.
pub(crate) fn in_pool<R>(threads: Option<NonZeroUsize>, f: impl FnOnce() -> Result<R>) -> Result<R> {
    let Some(threads) = threads else { return f() };
    // The simulated GPU takes rayon's threads; a pool of theirs that exists already stays as it is.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global();
    kiln::run_in(&ThreadPool::new(threads.get()), f)
}
