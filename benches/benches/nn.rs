//! Forward and backward passes of the MNIST listing's network.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kiln::prelude::*;
use kiln_benches::in_team;

fn passes(c: &mut Criterion) {
    let cpu = Device::cpu();
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], &cpu, 1)
        .unwrap();
    let loss = SparseCategoricalCrossentropy::new();
    let mut group = c.benchmark_group("nn");
    for batch in [1, 32, 512] {
        let x = Var::constant(Tensor::full([batch, 28, 28], 0.3, DType::F32, &cpu).unwrap());
        let labels = Tensor::zeros([batch], DType::U8, &cpu).unwrap();
        group.bench_function(BenchmarkId::new("predict", batch), |bench| {
            bench.iter_custom(|times| in_team(times, || model.forward(&x, &Ctx::eval()).unwrap()));
        });
        group.bench_function(BenchmarkId::new("forward and backward", batch), |bench| {
            bench.iter_custom(|times| {
                in_team(times, || {
                    let predictions = model.forward(&x, &Ctx::train(1, 0)).unwrap();
                    loss.forward(&predictions, &labels).unwrap().backward().unwrap()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
