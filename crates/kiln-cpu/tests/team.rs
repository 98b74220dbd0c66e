//! Regions under stress: many, small, nested, panicking, concurrent, beside rayon's own jobs.

// Helpers of tests are tests: a panic is the report.
#![allow(clippy::unwrap_used)]

use kiln_cpu::team;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
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
        let pool = pool(threads);
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
    let pool = pool(3);
    pool.install(|| check_region(50));
    assert!(team::threads() >= 1);
}

#[test]
fn returns_the_closures_value_and_borrows() {
    let data = [1.0_f32; 10];
    let sum: f32 = team::run(|| data.iter().sum());
    assert_eq!(sum, 10.0);
}

#[test]
fn nested_regions_run_in_place() {
    let pool = pool(2);
    team::run_in(&pool, || {
        let total = AtomicUsize::new(0);
        for _ in 0..rounds(200) {
            team::parallel(4, |_| {
                assert_eq!(team::threads(), 1);
                let here = std::thread::current().id();
                team::parallel(5, |_| {
                    assert_eq!(std::thread::current().id(), here);
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
        let pool = pool(threads);
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
    let pool = pool(2);
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
    // A broadcast needs every worker of the pool: it would hang if one were still held.
    assert_eq!(pool.broadcast(|_| 1).len(), 2);
}

#[test]
fn concurrent_runs_share_a_pool() {
    for threads in 1..=4 {
        let pool = pool(threads);
        std::thread::scope(|scope| {
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
fn two_runs_that_wait_for_one_another_both_proceed() {
    // Each run holds its leader until the other has begun: a team that kept all the pool's workers would hang here.
    let pool = pool(2);
    let barrier = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                team::run_in(&pool, || {
                    check_region(5);
                    barrier.wait();
                    check_region(5);
                });
            });
        }
    });
}

#[test]
fn rayons_own_jobs_run_beside_the_team() {
    fn fib(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
        a + b
    }
    let pool = pool(3);
    team::run_in(&pool, || {
        for _ in 0..rounds(50) {
            check_region(6);
            assert_eq!(fib(12), 144);
            team::parallel(3, |_| assert_eq!(fib(8), 21));
            let done = AtomicUsize::new(0);
            rayon::scope(|scope| {
                for _ in 0..8 {
                    // A stolen job may itself want a region, or a run.
                    scope.spawn(|_| {
                        check_region(4);
                        team::run(|| check_region(3));
                        done.fetch_add(1, Relaxed);
                    });
                }
            });
            assert_eq!(done.into_inner(), 8);
        }
    });
}

#[test]
fn a_task_may_need_every_worker() {
    let pool = pool(2);
    team::run_in(&pool, || {
        for _ in 0..rounds(20) {
            team::parallel(2, |_| assert_eq!(pool.broadcast(|_| 1).len(), 2));
        }
    });
}

#[test]
fn workers_come_back_after_a_pause() {
    let pool = pool(2);
    team::run_in(&pool, || {
        for _ in 0..rounds(5) {
            check_region(8);
            std::thread::sleep(Duration::from_millis(2));
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
                    std::thread::yield_now();
                }
            });
        }
        assert!(met.into_inner(), "no worker came back");
    });
}

#[test]
fn serial_regions_stay_on_their_thread() {
    let here = std::thread::current().id();
    team::serial(|| {
        assert_eq!(team::threads(), 1);
        team::parallel(100, |_| assert_eq!(std::thread::current().id(), here));
    });
    check_region(100);
}
