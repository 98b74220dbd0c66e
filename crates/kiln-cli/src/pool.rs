//! The threads that are computed with.

use kiln::{Error, Result};
use std::num::NonZeroUsize;

/// Runs `f` in a pool of so many threads, or in the default one. Everything is done in it: beside a pool of one's own, the
/// default one would start its threads for the first large region outside.
pub(crate) fn in_pool<R: Send>(threads: Option<NonZeroUsize>, f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    let Some(threads) = threads else { return f() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build();
    let pool = pool.map_err(|e| Error::value("", format!("--threads {threads}: {e}")).with_source(e))?;
    kiln::run_in(&pool, f)
}
