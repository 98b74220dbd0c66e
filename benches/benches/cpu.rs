//! Kernels other than the matrix product (which has its own file): softmax, gathers, optimizer steps.

// Criterion's macros write functions without documentation.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln::cpu::softmax::{SoftmaxKind, softmax};
use kiln::cpu::update::{Floats, FloatsMut, Slot};
use kiln::cpu::{Isa, gather, update};
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

/// A batch of 32 images of 784 bytes from 60,000, in random order.
fn gathers(c: &mut Criterion) {
    let source = vec![7_u8; 60_000 * 784];
    let mut out = vec![0.0_f32; 32 * 784];
    let mut first = 0_usize;
    let mut next = move || {
        first = (first + 7919) % 60_000;
        std::array::from_fn::<usize, 64, _>(|i| (first + i * 15_485_863) % 60_000)
    };
    let mut group = c.benchmark_group("gather");
    group.throughput(Throughput::Bytes(32 * 784));
    group.bench_function("32 rows of 784 bytes", |bench| {
        bench.iter_custom(|times| {
            in_team(times, || {
                let drawn = next();
                let (indices, upcoming) = drawn.split_at(32);
                let rows = gather::Rows { source: &source, width: 784, indices, upcoming };
                gather::gather_normalized(Isa::best(), &mut out, rows, &[[1.0 / 255.0, 0.0]]);
            })
        });
    });
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

criterion_group!(benches, rows, gathers, steps);
criterion_main!(benches);
