//! GFLOP/s of the matrix product by shape: the best of half a second each, as `benches/peers/gemm_torch.py` counts.
//!
//! `cargo run --release -p kiln-cpu --example gemm [MxKxN[ta|tb]…]`; `ta`, `tb`: A or B is stored transposed.

use kiln_cpu::gemm::{GemmEpilogue, Matrix, MatrixMut, matmul};
use kiln_cpu::{Isa, team};
use std::time::{Duration, Instant};

const SHAPES: &str = "32x784x128 64x784x128 784x64x128 784x32x128ta 32x128x10 32x784x128tb 256x256x256 256x256x256tb \
                      512x512x512 1024x1024x1024 1024x1024x1024tb 1024x1024x1024ta 2048x2048x2048 96x363x4096 256x2400x4096 64x4096x4096 \
                      1000x1000x1000";

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let shapes: Vec<&str> =
        if given.is_empty() { SHAPES.split_whitespace().collect() } else { given.iter().map(String::as_str).collect() };
    team::run(|| {
        for shape in shapes {
            let (ta, tb) = (shape.ends_with("ta"), shape.ends_with("tb"));
            let sizes: Vec<usize> = shape.trim_end_matches(['t', 'a', 'b']).split('x').flat_map(str::parse).collect();
            let &[m, k, n] = sizes.as_slice() else { continue };
            let rate = gflops(m, k, n, ta, tb);
            println!("{shape:20} {rate:7.1}   {:.2} µs", 2e-3 * (m * n * k) as f64 / rate);
        }
    });
}

fn gflops(m: usize, k: usize, n: usize, ta: bool, tb: bool) -> f64 {
    let a: Vec<f32> = (0..m * k).map(|i| (i % 7) as f32 * 0.25 - 0.5).collect();
    let b: Vec<f32> = (0..k * n).map(|i| (i % 5) as f32 * 0.25 - 0.5).collect();
    let mut c = vec![0.0_f32; m * n];
    let view = |data, rows, cols, transposed| match transposed {
        false => Matrix::row_major(data, rows, cols),
        true => Matrix::row_major(data, cols, rows).map(Matrix::t),
    };
    let mut once = || {
        let (Ok(a), Ok(b), Ok(c)) = (view(&a, m, k, ta), view(&b, k, n, tb), MatrixMut::row_major(&mut c, m, n)) else {
            return Duration::MAX;
        };
        let start = Instant::now();
        let _ = matmul(Isa::best(), a, b, c, GemmEpilogue::overwrite());
        start.elapsed()
    };
    once();
    let (begun, mut best) = (Instant::now(), Duration::MAX);
    while begun.elapsed() < Duration::from_millis(500) {
        best = best.min(once());
    }
    2.0 * (m * n * k) as f64 / best.as_secs_f64() / 1e9
}
