//! What recording and going back cost beside the operations themselves.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use kiln::prelude::*;
use kiln_benches::in_team;

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::cpu()).unwrap()
}

/// One operation on 64 elements: alone, recorded, and with its way back.
fn small(c: &mut Criterion) {
    let mut group = c.benchmark_group("autograd");
    let (plain, tracked) = (Var::constant(ones(&[64])), Var::variable(ones(&[64])));
    group.bench_function("relu, no graph", |bench| {
        bench.iter_custom(|times| in_team(times, || plain.relu().unwrap()));
    });
    group.bench_function("relu, recorded", |bench| {
        bench.iter_custom(|times| in_team(times, || tracked.relu().unwrap()));
    });
    group.bench_function("relu, sum, backward", |bench| {
        bench.iter_custom(|times| in_team(times, || tracked.relu().unwrap().sum_all().unwrap().backward().unwrap()));
    });
    group.finish();
}

/// A chain of a hundred recorded operations and its backward pass.
fn chain(c: &mut Criterion) {
    let x = Var::variable(ones(&[64]));
    c.bench_function("autograd/backward through 100 operations", |bench| {
        bench.iter_custom(|times| {
            in_team(times, || {
                let mut y = x.clone();
                for _ in 0..100 {
                    y = y.tanh().unwrap();
                }
                y.sum_all().unwrap().backward().unwrap()
            })
        });
    });
}

criterion_group!(benches, small, chain);
criterion_main!(benches);
