//! Kernels other than the matrix product (which has its own file): softmax, optimizer steps.

// Criterion's macros write functions without documentation.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln::cpu::softmax::{SoftmaxKind, softmax};
use kiln::cpu::update::{Floats, FloatsMut, Slot};
use kiln::cpu::{Isa, update};
use kiln::math::UpdateRule;
use kiln::math::update::{Adam, Rule, Step};
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
    let step = Step { learning_rate: 0.001, weight_decay: 0.0, number: 1000.0, smallest: f32::MIN_POSITIVE.into() };
    let constants = Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }.constants(&step).map(|c| c as f32);
    let mut group = c.benchmark_group("adam");
    for count in [101_770, 1 << 23] {
        let gradient = vec![0.01_f32; count];
        let [mut parameter, mut first, mut second] = [1.0, 0.0, 0.0].map(|value| vec![value; count]);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(count.to_string(), |bench| {
            bench.iter_custom(|times| {
                in_team(times, || {
                    let states = [Some(FloatsMut::F32(&mut first)), Some(FloatsMut::F32(&mut second)), None];
                    let (parameter, gradient) = (FloatsMut::F32(&mut parameter), Floats::F32(&gradient));
                    let slot = Slot { parameter, gradient, states, row: 0 };
                    update::step(Isa::best(), UpdateRule::Adam, &mut [slot], &constants);
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rows, steps);
criterion_main!(benches);
