//! The tests of run folders, one program.
#![allow(clippy::unwrap_used)] // a panic is a test's report

mod atomic;
mod crash;
mod generations;
mod looks;
mod retries;

/// A folder in memory, where there is such a place: these tests make hundreds, and a disk takes its time to flush each.
fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
