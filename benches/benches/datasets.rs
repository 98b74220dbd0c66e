//! An epoch of shuffled batches of images, by number of workers.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kiln::prelude::*;
use kiln_benches::in_team;

fn epochs(c: &mut Criterion) {
    let count = 6400;
    let data = ImageDataset::new(vec![7; count * 784], vec![3; count], &[28, 28], 10).unwrap();
    let mut group = c.benchmark_group("datasets");
    group.throughput(Throughput::Elements(count as u64));
    for workers in [0, 1] {
        let loader = Loader::new(&data).shuffle(1).workers(workers);
        group.bench_function(BenchmarkId::new("6400 images, workers", workers), |bench| {
            bench.iter_custom(|times| {
                let mut epoch = 0;
                in_team(times, || {
                    epoch += 1;
                    loader.epoch(epoch, |batches| batches.try_for_each(|batch| batch.map(drop))).unwrap();
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, epochs);
criterion_main!(benches);
