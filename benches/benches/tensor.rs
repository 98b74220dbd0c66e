//! Tensor operations with their checks, outputs and dispatch, small and large.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use kiln::prelude::*;
use kiln_benches::in_team;

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::cpu()).unwrap()
}

fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("tensor");
    for shape in [&[64][..], &[1024, 1024]] {
        let (x, y) = (ones(shape), ones(shape));
        let size = x.shape().to_string();
        let row = ones(&shape[shape.len() - 1..]);
        let mut bench = |name: &str, f: &mut (dyn FnMut() -> Result<Tensor> + Send)| {
            group.bench_function(format!("{name} {size}"), |bench| {
                bench.iter_custom(|times| in_team(times, || f().unwrap()));
            });
        };
        bench("relu", &mut || x.relu());
        bench("exp", &mut || x.exp());
        bench("add", &mut || x.add(&y));
        bench("add a broadcast row", &mut || x.add(&row));
        bench("sum", &mut || x.sum_all());
        bench("sum of the first axis", &mut || x.sum(0));
    }
    let x = ones(&[1024, 1024]);
    group.bench_function("copy a transposed (1024, 1024)", |bench| {
        bench.iter_custom(|times| in_team(times, || x.t().unwrap().contiguous().unwrap()));
    });
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
