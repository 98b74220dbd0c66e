//! Tables of views in device memory: every access through an entry is checked as one through a parameter is.
#![cfg(feature = "sim")]
#![allow(clippy::panic, clippy::unwrap_used)] // a panic is a test's report

mod common;

use common::{read, write};
use cuda_std::*;

parameters! {
    /// y = a·x
    struct Job { y: GlobalMut<f32>, x: Global<f32>, a: f32, index: u32 }
}

/// A table in the host's memory.
fn table(jobs: &[Job]) -> Table<Job> {
    // SAFETY: a launch on the simulator ends before the test lets go of its data.
    unsafe { Table::from_raw(jobs.as_ptr().expose_provenance() as u64, jobs.len()) }
}

/// What the simulator found.
fn fault(result: Result<(), LaunchError>) -> String {
    match result {
        Err(LaunchError::Fault(fault)) => fault.what.clone(),
        other => panic!("no fault was found, but {other:?}"),
    }
}

kernel! {
    /// Each block does one job.
    #[max_threads = 32]
    fn scale(jobs: Table<Job>) {
        let (job, i) = (jobs.get(block_idx_x() as usize), thread_idx_x() as usize);
        if i < job.y.len() {
            job.y.set(i, job.a * job.x.get(i));
        }
    }
}

#[test]
fn blocks_use_the_views_of_their_entries() {
    let (x, simulator) = ([1.0, 2.0, 3.0, 4.0], Simulator::new());
    let mut outputs: Vec<Vec<f32>> = (0..5).map(|length| vec![0.0; length]).collect();
    let jobs: Vec<Job> =
        outputs.iter_mut().map(|y| Job { y: write(y), x: read(&x), a: y.len() as f32, index: 0 }).collect();
    assert_eq!(Table::bytes(&jobs).len(), 5 * 40);
    scale { jobs: table(&jobs) }.launch(&simulator, Geometry::linear(5, 32)).unwrap();
    assert_eq!(outputs[3], [3.0, 6.0, 9.0]);
    assert_eq!(outputs[4], [4.0, 8.0, 12.0, 16.0]);
    let beyond = scale { jobs: table(&jobs) }.launch(&simulator, Geometry::linear(6, 32));
    assert_eq!(fault(beyond), "reads element 5 of a buffer of 5");
    let short = [Job { x: read(&x[..2]), ..jobs[3] }];
    let beyond = scale { jobs: table(&short) }.launch(&simulator, Geometry::linear(1, 32));
    assert_eq!(fault(beyond), "reads element 2 of a buffer of 2");
}

thread_local! {
    /// What a block keeps for another one.
    static KEPT: std::cell::Cell<Option<Job>> = const { std::cell::Cell::new(None) };
}

kernel! {
    /// Reads entry 0 where `look` says so; then writes through what the last block to read it has kept.
    #[max_threads = 1]
    fn kept(jobs: Table<Job>, look: u32, gap: u32) {
        if look != 0 {
            KEPT.set(Some(jobs.get(0)));
        }
        if let Some(job) = KEPT.get() {
            job.y.set(0, job.x.get(0));
        }
    }
}

#[test]
fn views_are_those_of_entries_that_the_block_has_read() {
    let (simulator, one) = (Simulator::new(), Geometry::linear(1, 1));
    let (x, mut y) = ([1.0], [0.0]);
    let jobs = [Job { y: write(&mut y), x: read(&x), a: 1.0, index: 0 }];
    kept { jobs: table(&jobs), look: 1, gap: 0 }.launch(&simulator, one).unwrap();
    assert_eq!(y, [1.0]);
    let unread = kept { jobs: table(&jobs), look: 0, gap: 0 }.launch(&simulator, one);
    assert_eq!(fault(unread), "reads through a view that its launch was not given");
    // A view for reading gives no right to write.
    let mut other = [0.0];
    let overwrites = [Job { y: write(&mut other), x: jobs[0].x, ..jobs[0] }];
    KEPT.set(Some(Job { x: overwrites[0].x, ..jobs[0] }));
    kernel! {
        #[max_threads = 1]
        fn writes_what_is_read(jobs: Table<Job>) {
            let _ = jobs.get(0);
            if let Some(job) = KEPT.get() {
                job.y.set(0, 5.0);
            }
        }
    }
    let written = writes_what_is_read { jobs: table(&overwrites) }.launch(&simulator, one);
    assert_eq!(fault(written), "writes through a view that its launch was not given");
    assert_eq!(y, [1.0]);
}
