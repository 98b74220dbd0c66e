//! Elementary functions on arrays in cache, on one thread; draws.

// Criterion's macros write functions without documentation.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln::cpu::{Isa, elementwise};
use kiln::math::{Purpose, RandomStream, UnaryOp};

/// Elements: 16 KiB, and too few to be shared between threads.
const COUNT: usize = 4096;

/// Each kind of polynomial, and one that is a single instruction to compare with.
fn functions(c: &mut Criterion) {
    let mut group = c.benchmark_group("math");
    group.throughput(Throughput::Elements(COUNT as u64));
    for op in [UnaryOp::Relu, UnaryOp::Exp, UnaryOp::Ln, UnaryOp::Sin, UnaryOp::Tanh, UnaryOp::Erf, UnaryOp::Gelu] {
        let (low, high) = op.domain();
        let start: Vec<f32> = (0..COUNT).map(|i| (low + (high - low) * i as f64 / COUNT as f64) as f32).collect();
        let mut x = start.clone();
        group.bench_function(op.name(), |bench| {
            bench.iter(|| {
                // From the same values each time: repeated, exp runs off to infinity.
                x.copy_from_slice(&start);
                elementwise::unary_in_place(Isa::best(), op, [0.0; 2], &mut x);
            });
        });
    }
    group.finish();
}

fn draws(c: &mut Criterion) {
    let mut group = c.benchmark_group("draws");
    let mut stream = RandomStream::new(1, Purpose::Data, 0);
    group.bench_function("uniform", |bench| bench.iter(|| stream.uniform()));
    group.bench_function("normal", |bench| bench.iter(|| stream.normal()));
    let mut order: Vec<u32> = (0..60_000).collect();
    group.bench_function("shuffle 60000", |bench| bench.iter(|| stream.shuffle(&mut order)));
    group.finish();
}

criterion_group!(benches, functions, draws);
criterion_main!(benches);
