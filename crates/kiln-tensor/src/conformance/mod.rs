//! The contract of [`crate::Backend`] as checks against naive loops in f64, for any device.
//!
//! Every primitive is called with operands that are strided, permuted, broadcast, flipped, sliced out of larger buffers, empty
//! and of one element, in every dtype that it takes, with NaN and infinities among the values. The cases are drawn from fixed
//! streams: a failure comes back in the next run. A backend's test is `conformance::run(&device)`.

// These are tests that other crates call: a panic is their report.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod answers;
mod attention;
mod blend;
mod cases;
mod coarse;
mod composed;
mod conv;
mod elementwise;
mod gather;
mod integers;
mod normalization;
mod pool;
mod product;
mod random;
mod recurrent;
mod reduce;
mod row_norm;
mod scan;
mod sort;
mod update;
mod window;

use crate::Device;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub use answers::composed_calls;
pub use composed::Composed;

/// A name, and a check that panics with what differed.
pub type Check = (&'static str, fn(&Device));

/// All checks.
pub const CHECKS: &[Check] = &[
    ("fill", elementwise::fill),
    ("copy", elementwise::copy),
    ("copy into a slice", elementwise::copy_into_slice),
    ("unary", elementwise::unary),
    ("unary_grad", elementwise::unary_grad),
    ("binary", elementwise::binary),
    ("binary of integers", integers::binary),
    ("the ends of integers", integers::ends),
    ("compare", elementwise::compare),
    ("select", elementwise::select),
    ("elementwise in place", elementwise::in_place),
    ("reduce", reduce::reduce),
    ("reduce of integers", integers::reduce),
    ("reduce of special values", reduce::special),
    ("arg_reduce", reduce::arg_reduce),
    ("matmul", product::matmul),
    ("matmul of batches", product::batches),
    ("gather", gather::gather),
    ("scatter", gather::scatter),
    ("random uniform", random::uniform),
    ("random normal", random::normal),
    ("random integers", random::integers),
    ("random laws", random::sample),
    ("dropout", random::dropout),
    ("softmax", coarse::softmax),
    ("softmax_grad", coarse::softmax_grad),
    ("logsumexp", coarse::logsumexp),
    ("cross_entropy", coarse::cross_entropy),
    ("attention", attention::attention),
    ("attention of special values", attention::special),
    ("sort", sort::sort),
    ("search", sort::search),
    ("scan", scan::scan),
    ("scan_extrema", scan::extrema),
    ("linear_scan", scan::linear),
    ("distances", scan::distances),
    ("blend", blend::blend),
    ("conv", conv::conv),
    ("conv_grad_input", conv::conv_grad_input),
    ("conv_grad_weight", conv::conv_grad_weight),
    ("convolutions of special values", conv::special),
    ("max_pool", pool::max_pool),
    ("max_pool_grad", pool::max_pool_grad),
    ("moments", normalization::moments),
    ("normalize", normalization::normalize),
    ("normalize_grad", normalization::normalize_grad),
    ("row_norm", row_norm::row_norm),
    ("row_norm of special values", row_norm::special),
    ("row_norm_grad", row_norm::row_norm_grad),
    ("recurrent", recurrent::recurrent),
    ("update", update::update),
    ("fused as composed", composed::fused_as_composed),
    ("convolutions as composed", conv::as_composed),
    ("normalization as composed", normalization::as_composed),
];

/// Runs every check; panics at the end with the names of those that failed, each of which has said what differed.
pub fn run(device: &Device) {
    report(device, CHECKS.iter().filter(|check| fails(device, check)).map(|check| check.0).collect());
}

/// [`run`] for devices that compute on one thread: the checks are spread over the processor's, each with a device of its own.
pub fn run_by_threads(device: impl Fn() -> Device + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        let (device, mut failed) = (device(), Vec::new());
        while let Some(check) = CHECKS.get(next.fetch_add(1, Ordering::Relaxed)) {
            if fails(&device, check) {
                failed.push(check.0);
            }
        }
        failed
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    report(&device(), failed);
}

/// Whether a check panics.
fn fails(device: &Device, (name, check): &Check) -> bool {
    // First, in case that it never ends.
    println!("{device}: {name}");
    panic::catch_unwind(AssertUnwindSafe(|| check(device)))
        .inspect_err(|_| println!("{device}: {name} failed"))
        .is_err()
}

fn report(device: &Device, failed: Vec<&str>) {
    assert!(failed.is_empty(), "{device} fails {failed:?}");
}
