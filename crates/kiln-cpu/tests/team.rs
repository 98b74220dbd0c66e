//! Regions under stress: many, small, nested, panicking, concurrent, in sessions that wait for each other.

// Helpers of tests are tests: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

use kiln_cpu::team::{self, ThreadPool};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a test that a fault may keep from ending.
fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let handle = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if ended.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it hangs");
    }
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// How often a test repeats: far less under Miri, which checks every access, and is a thousand times slower.
fn rounds(n: usize) -> usize {
    if cfg!(miri) { n.div_ceil(50) } else { n }
}

/// Runs a region of `tasks` and checks that each ran exactly once, and that all had ended when it returned.
fn check_region(tasks: usize) {
    let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
    team::parallel(tasks, |i| {
        counts[i].fetch_add(1, Relaxed);
    });
    for (i, count) in counts.iter().enumerate() {
        assert_eq!(count.load(Relaxed), 1, "task {i} of {tasks}");
    }
}

#[test]
fn each_task_runs_once_for_any_pool() {
    for threads in 1..=4 {
        let pool = ThreadPool::new(threads);
        team::run_in(&pool, || {
            assert_eq!(team::threads(), threads);
            for round in 0..rounds(3000) {
                check_region(round % 13);
            }
            check_region(1000);
        });
    }
}

#[test]
fn works_outside_run() {
    for tasks in [0, 1, 2, 3, 100] {
        check_region(tasks);
    }
    assert!(team::threads() >= 1);
    assert_eq!(ThreadPool::new(3).threads(), 3);
    assert_eq!(ThreadPool::new(0).threads(), team::threads());
}

#[test]
fn returns_the_closures_value_and_borrows() {
    let data = [1.0_f32; 10];
    let sum: f32 = team::run(|| data.iter().sum());
    assert_eq!(sum, 10.0);
}

#[test]
fn nested_regions_run_in_place() {
    let pool = ThreadPool::new(2);
    team::run_in(&pool, || {
        let total = AtomicUsize::new(0);
        for _ in 0..rounds(200) {
            team::parallel(4, |_| {
                assert_eq!(team::threads(), 1);
                let here = thread::current().id();
                team::parallel(5, |_| {
                    assert_eq!(thread::current().id(), here);
                    total.fetch_add(1, Relaxed);
                });
                team::run(|| total.fetch_add(1, Relaxed));
            });
        }
        assert_eq!(total.into_inner(), rounds(200) * 4 * 6);
        assert_eq!(team::threads(), 2);
        team::run(|| check_region(7));
    });
}

#[test]
fn a_panic_in_a_task_reaches_the_caller_and_the_team_goes_on() {
    for threads in 1..=3 {
        let pool = ThreadPool::new(threads);
        team::run_in(&pool, || {
            for round in 0..rounds(300) {
                let bad = round % 9;
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    team::parallel(9, |i| {
                        if i == bad {
                            std::panic::resume_unwind(Box::new(round));
                        }
                    });
                }));
                assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&round));
                check_region(9);
            }
        });
    }
}

#[test]
fn a_panic_in_run_reaches_the_caller_and_releases_the_workers() {
    let pool = ThreadPool::new(2);
    for _ in 0..rounds(50) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team::run_in(&pool, || {
                check_region(4);
                std::panic::resume_unwind(Box::new("out"));
            })
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"out"));
    }
    team::run_in(&pool, || check_region(4));
}

#[test]
fn concurrent_runs_share_a_pool() {
    for threads in 1..=4 {
        let pool = ThreadPool::new(threads);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..rounds(20) {
                        team::run_in(&pool, || {
                            for round in 0..rounds(50) {
                                check_region(1 + round % 7);
                            }
                        });
                    }
                });
            }
        });
    }
}

#[test]
fn sessions_that_wait_for_each_other_all_proceed() {
    // More sessions than threads, in pools of every size: none may need another's thread, or a place in the pool.
    for threads in 1..=3 {
        within_a_minute(move || {
            let pool = ThreadPool::new(threads);
            for sessions in 2..=5 {
                let barrier = Barrier::new(sessions);
                thread::scope(|scope| {
                    for _ in 0..sessions {
                        scope.spawn(|| {
                            team::run_in(&pool, || {
                                for _ in 0..3 {
                                    check_region(5);
                                    barrier.wait();
                                }
                            });
                        });
                    }
                });
            }
        });
    }
}

#[test]
fn a_session_that_goes_on_keeps_no_one_waiting() {
    // Regions outside a session and inside others, while one session works without a pause.
    within_a_minute(|| {
        let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                team::run(|| {
                    while !ended.load(Relaxed) {
                        check_region(4);
                        begun.store(true, Relaxed);
                    }
                });
            });
            while !begun.load(Relaxed) {
                thread::yield_now();
            }
            for _ in 0..rounds(200) {
                check_region(6);
                team::run(|| check_region(6));
            }
            ended.store(true, Relaxed);
        });
    });
}

#[test]
fn pools_come_and_go_beside_one_another() {
    within_a_minute(|| {
        thread::scope(|scope| {
            for threads in 1..=4 {
                scope.spawn(move || {
                    for _ in 0..rounds(50) {
                        let (pool, other) = (ThreadPool::new(threads), ThreadPool::new(2));
                        team::run_in(&pool, || {
                            check_region(3);
                            // A session of another pool, in the middle of this one.
                            team::run_in(&other, || {
                                assert_eq!(team::threads(), 2);
                                check_region(9);
                            });
                            team::run_in(&pool, || check_region(2));
                            assert_eq!(team::threads(), threads);
                            check_region(3);
                        });
                    }
                });
            }
        });
    });
}

#[test]
fn a_session_stays_on_its_thread() {
    let pool = ThreadPool::new(2);
    let here = thread::current().id();
    // What is not Send may be used.
    let local = std::rc::Rc::new(1);
    assert_eq!(team::run_in(&pool, || (thread::current().id(), *local)), (here, 1));
    assert_eq!(team::run(|| thread::current().id()), here);
}

#[test]
fn sessions_share_the_workers_fairly_enough() {
    // When another session begins, workers make way for its leader; when it ends, they come back.
    within_a_minute(|| {
        let pool = Arc::new(ThreadPool::new(3));
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                for _ in 0..rounds(100) {
                    team::run_in(&pool, || (0..20).for_each(check_region));
                }
            })
        };
        team::run_in(&pool, || (0..rounds(3000)).for_each(|round| check_region(round % 7)));
        other.join().unwrap();
    });
}

#[test]
fn workers_come_back_after_a_pause() {
    let pool = ThreadPool::new(2);
    team::run_in(&pool, || {
        for _ in 0..rounds(5) {
            check_region(8);
            thread::sleep(Duration::from_millis(2));
        }
        // With a resident at work, two tasks that wait for each other meet. A region may have to do without one that is
        // just leaving, and the system may keep it waiting: so not every region, but one of those of some seconds.
        let limit = Instant::now() + Duration::from_secs(20);
        let met = AtomicBool::new(false);
        while !met.load(Relaxed) && Instant::now() < limit {
            let arrived = AtomicUsize::new(0);
            team::parallel(2, |_| {
                arrived.fetch_add(1, Relaxed);
                let patience = Instant::now() + Duration::from_millis(5);
                while Instant::now() < patience && !met.load(Relaxed) {
                    met.fetch_or(arrived.load(Relaxed) == 2, Relaxed);
                    thread::yield_now();
                }
            });
        }
        assert!(met.into_inner(), "no worker came back");
    });
}

#[test]
fn serial_regions_stay_on_their_thread() {
    let here = thread::current().id();
    team::serial(|| {
        assert_eq!(team::threads(), 1);
        team::parallel(100, |_| assert_eq!(thread::current().id(), here));
    });
    check_region(100);
}
