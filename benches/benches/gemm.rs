//! The matrix product by shape, and the price of a parallel region.

// Fixed sizes fit, and criterion's macros write functions without documentation.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kiln_cpu::gemm::{Bias, GemmActivation, GemmEpilogue, Matrix, MatrixMut, matmul};
use kiln_cpu::{Isa, team};
use std::hint::black_box;

/// (M, K, N): the MNIST listing's forward pass and weight gradient, squares, and a large dense layer.
const SHAPES: [(usize, usize, usize); 8] = [
    (32, 128, 10),
    (32, 784, 128),
    (784, 32, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1000, 1000, 1000),
    (96, 363, 4096),
    (64, 4096, 4096),
];

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 7) as f32 * 0.25 - 0.5).collect()
}

/// C = A·B, both row by row; elements a second are floating-point operations a second.
fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    for (m, k, n) in SHAPES {
        let (a, b, mut out) = (numbers(m * k), numbers(k * n), numbers(m * n));
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        group.bench_function(BenchmarkId::from_parameter(format_args!("{m}x{k}x{n}")), |bench| {
            // Criterion's loop runs inside the pool, as a training loop would.
            bench.iter_custom(|times| {
                team::run(|| {
                    let start = std::time::Instant::now();
                    for _ in 0..times {
                        let (a, b) = (Matrix::row_major(black_box(&a), m, k), Matrix::row_major(&b, k, n));
                        let out = MatrixMut::row_major(&mut out, m, n);
                        matmul(Isa::best(), a.unwrap(), b.unwrap(), out.unwrap(), GemmEpilogue::overwrite()).unwrap();
                    }
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

/// The first dense layer of the MNIST listing by layout and epilogue.
fn layouts(c: &mut Criterion) {
    let (m, k, n) = (32, 784, 128);
    let (a, b, bias, mut out) = (numbers(m * k), numbers(k * n), numbers(n), numbers(m * n));
    let mut group = c.benchmark_group("gemm 32x784x128");
    group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
    let rows = Matrix::row_major(&a, m, k).unwrap();
    let columns = Matrix::row_major(&a, k, m).unwrap().t();
    let (b_rows, b_columns) = (Matrix::row_major(&b, k, n).unwrap(), Matrix::row_major(&b, n, k).unwrap().t());
    let dense = GemmEpilogue::overwrite().with_bias(Bias::Row(&bias)).with_activation(GemmActivation::Relu);
    let plain = GemmEpilogue::overwrite();
    for (name, a, b, epilogue) in [
        ("plain", rows, b_rows, plain),
        ("accumulate", rows, b_rows, GemmEpilogue::accumulate()),
        ("bias and relu", rows, b_rows, dense),
        ("A transposed", columns, b_rows, plain),
        ("B transposed", rows, b_columns, plain),
    ] {
        group.bench_function(name, |bench| {
            bench.iter_custom(|times| {
                team::run(|| {
                    let start = std::time::Instant::now();
                    for _ in 0..times {
                        let out = MatrixMut::row_major(&mut out, m, n).unwrap();
                        matmul(Isa::best(), a, b, out, epilogue).unwrap();
                    }
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

/// An empty region of one task a thread, with the workers resident and without.
fn regions(c: &mut Criterion) {
    let mut group = c.benchmark_group("region");
    let tasks = team::threads().max(2);
    group.bench_function("resident", |bench| {
        bench.iter_custom(|times| {
            team::run(|| {
                let start = std::time::Instant::now();
                for _ in 0..times {
                    team::parallel(tasks, |task| {
                        black_box(task);
                    });
                }
                start.elapsed()
            })
        });
    });
    group.bench_function("outside", |bench| {
        bench.iter(|| {
            team::parallel(tasks, |task| {
                black_box(task);
            });
        });
    });
    group.finish();
}

criterion_group!(benches, products, layouts, regions);
criterion_main!(benches);
