//! Kernels other than the matrix product (which has its own file): softmax, optimizer steps.

// Criterion's macros write functions without documentation.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln::cpu::softmax::{SoftmaxKind, softmax};
use kiln::cpu::{Isa, update};
use kiln::math::update::AdamSettings;
use kiln_benches::in_team;

fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("softmax");
    for (rows, width) in [(32, 10), (64, 1000), (1024, 1024)] {
        let x: Vec<f32> = (0..rows * width).map(|i| (i % 13) as f32 * 0.5 - 3.0).collect();
        let mut y = x.clone();
        group.throughput(Throughput::Elements(x.len() as u64));
        group.bench_function(format!("{rows}x{width}"), |bench| {
            bench.iter_custom(|times| in_team(times, || softmax(Isa::best(), SoftmaxKind::Softmax, &mut y, &x, width)));
        });
    }
    group.finish();
}

/// Adam over the MNIST listing's parameters, and over as many as do not fit a cache.
fn steps(c: &mut Criterion) {
    let settings = AdamSettings { beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.0, decoupled: false };
    let constants = settings.at(0.001, 1000.0, f64::from(f32::MIN_POSITIVE));
    let mut group = c.benchmark_group("adam");
    for count in [101_770, 1 << 23] {
        let gradient = vec![0.01_f32; count];
        let [mut parameter, mut first, mut second] = [1.0, 0.0, 0.0].map(|value| vec![value; count]);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(count.to_string(), |bench| {
            bench.iter_custom(|times| {
                in_team(times, || {
                    let slot = update::Slot {
                        parameter: &mut parameter,
                        gradient: &gradient,
                        first: &mut first,
                        second: &mut second,
                    };
                    update::adam_step(Isa::best(), &mut [slot], constants);
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rows, steps);
criterion_main!(benches);
