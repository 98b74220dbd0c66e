//! An epoch of shuffled batches of images, by number of workers; gathers; augmented batches.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kiln::datasets::Pass;
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

/// Batches of 32 images of 784 bytes from 60,000, in random order: a gather alone.
fn gathers(c: &mut Criterion) {
    let data = ImageDataset::new(vec![7; 60_000 * 784], vec![3; 60_000], &[28, 28], 10).unwrap();
    let mut first = 0;
    let mut group = c.benchmark_group("gather");
    group.throughput(Throughput::Bytes(32 * 784));
    group.bench_function("32 rows of 784 bytes", |bench| {
        bench.iter_custom(|times| {
            in_team(times, || {
                first = (first + 7919) % 60_000;
                let drawn: [usize; 64] = std::array::from_fn(|i| (first + i * 15_485_863) % 60_000);
                let (indices, upcoming) = drawn.split_at(32);
                data.batch(indices, upcoming, &Device::cpu()).unwrap()
            })
        });
    });
    group.finish();
}

/// A batch of the AlexNet listing's images, augmented as there and in other ways.
fn augmented(c: &mut Criterion) {
    let data = ImageDataset::new(vec![7; 640 * 3072], vec![3; 640], &[3, 32, 32], 10).unwrap();
    let mut group = c.benchmark_group("augmented batch of 64");
    group.throughput(Throughput::Elements(64));
    let indices: Vec<usize> = (0..64).collect();
    for words in ["none", "keras", "keras,fill=reflect", "pytorch", "jitter=0.4", "hue=0.1", "mixup=0.2"] {
        let data = data.clone().augment(words.parse().unwrap()).unwrap();
        group.bench_function(words, |bench| {
            bench.iter_custom(|times| {
                let mut epoch = 0;
                in_team(times, || {
                    epoch += 1;
                    data.training_batch(&indices, &[], Pass { seed: 0, epoch }, &Device::cpu()).unwrap()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, epochs, gathers, augmented);
criterion_main!(benches);
