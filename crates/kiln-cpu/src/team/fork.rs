//! Whether this process was forked from another since.

use std::sync::atomic::{AtomicU64, Ordering};

/// Forks between the first process and this one. Threads do not live on in a child: what was started under another number is gone.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The number of forks that this process has behind it, of those after the first call of [`watch`].
#[inline]
pub(super) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Counts forks from here on. The system tells a child, so that nobody else has to ask for the process's number.
#[cfg(all(unix, not(miri)))]
pub(super) fn watch() {
    use std::ffi::c_int;
    use std::sync::Once;
    type Handler = Option<unsafe extern "C" fn()>;
    unsafe extern "C" {
        fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> c_int;
    }
    /// The child's first steps: it has one thread, and may do no more than a signal's handler.
    unsafe extern "C" fn forked() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    // SAFETY: the handler lives as long as the process, and does what a handler may. A refusal (no memory) leaves forks uncounted.
    ONCE.call_once(|| unsafe {
        pthread_atfork(None, None, Some(forked));
    });
}

#[cfg(not(all(unix, not(miri))))]
pub(super) fn watch() {}
