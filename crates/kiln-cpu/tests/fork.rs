//! A child of `fork` after its parent has computed: it has none of the parent's threads, and computes all the same.
//! A binary of its own, so that no other test's thread holds a lock at the time of the fork.

#![cfg(all(unix, not(miri)))]
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is a test's report

use kiln_cpu::team::{self, ThreadPool};
use std::collections::HashSet;
use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn kill(child: c_int, signal: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
}
const WNOHANG: c_int = 1;
const SIGKILL: c_int = 9;

/// Runs `f` in a child, and gives what the child says, or `None` where it does not end.
fn in_child(f: impl FnOnce() -> bool) -> Option<bool> {
    // SAFETY: the child only runs `f` and leaves without any of the parent's cleaning up.
    let child = unsafe { fork() };
    assert!(child >= 0);
    if child == 0 {
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        // SAFETY: ends this process.
        unsafe { _exit(if matches!(said, Ok(true)) { 0 } else { 1 }) }
    }
    let limit = Instant::now() + Duration::from_secs(30);
    let mut status = 0;
    // SAFETY: the child is ours, and the status a number.
    while unsafe { waitpid(child, &raw mut status, WNOHANG) } == 0 {
        if Instant::now() > limit {
            // SAFETY: likewise.
            unsafe {
                kill(child, SIGKILL);
                waitpid(child, &raw mut status, 0);
            }
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
    Some(status == 0)
}

/// Whether the tasks of regions are done, each once.
fn computes() -> bool {
    (1..50).all(|tasks| {
        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        team::parallel(tasks, |i| {
            counts[i].fetch_add(1, Relaxed);
        });
        counts.iter().all(|count| count.load(Relaxed) == 1)
    })
}

/// Whether a second thread takes part before long.
fn has_help() -> bool {
    let seen = Mutex::new(HashSet::new());
    let limit = Instant::now() + Duration::from_secs(20);
    while seen.lock().unwrap().len() < 2 && Instant::now() < limit {
        team::parallel(2, |_| {
            seen.lock().unwrap().insert(thread::current().id());
            thread::sleep(Duration::from_millis(1));
        });
    }
    seen.into_inner().unwrap().len() == 2
}

#[test]
fn a_child_computes_with_workers_of_its_own() {
    let pool = ThreadPool::new(2);
    // The parent uses the pool of all cores and its own, outside and inside sessions.
    assert!(computes() && team::run(computes) && team::run_in(&pool, || computes() && has_help()));
    assert_eq!(in_child(computes), Some(true), "outside a session");
    assert_eq!(in_child(|| team::run(computes)), Some(true), "in a session");
    assert_eq!(in_child(|| team::run_in(&pool, || computes() && has_help())), Some(true), "in a pool of the parent's");
    // The fork of a training loop that goes on on both sides; and a child's child.
    team::run_in(&pool, || {
        for _ in 0..10 {
            assert!(computes());
            assert_eq!(in_child(|| computes() && has_help()), Some(true), "inside a session");
        }
        let grandchild = in_child(|| computes() && in_child(|| computes() && has_help()) == Some(true) && has_help());
        assert_eq!(grandchild, Some(true), "a child's child");
        assert!(computes() && has_help());
    });
    assert_eq!(
        in_child(move || {
            drop(pool);
            team::run(computes)
        }),
        Some(true),
        "after the parent's pool is dropped"
    );
}
