//! `fit` on 100 batches of the MNIST listing.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln::prelude::*;

fn fit(c: &mut Criterion) {
    let count = 3200;
    let pixels = (0..count * 784).map(|i| (i * 131 % 251) as u8).collect();
    let data = ImageDataset::new(pixels, (0..count).map(|i| (i % 10) as u8).collect(), &[28, 28], 10).unwrap();
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], &Device::cpu(), 1)
        .unwrap();
    let mut trainer = compile(model, Adam::new(0.001), SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let mut group = c.benchmark_group("train");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("fit, 100 batches of 32", |bench| {
        bench.iter(|| trainer.fit(&data, FitOptions::new().quiet()).unwrap());
    });
    group.finish();
}

criterion_group!(benches, fit);
criterion_main!(benches);
