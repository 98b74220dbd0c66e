//! What the Rust peers share: the data, read as the Python scripts read it, and how a shape's speed is counted.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// (M, K, N) of gemm_torch.py.
pub const SIZES: [[usize; 3]; 11] = [
    [32, 784, 128],
    [64, 784, 128],
    [784, 64, 128],
    [256, 256, 256],
    [512, 512, 512],
    [1024, 1024, 1024],
    [2048, 2048, 2048],
    [96, 363, 4096],
    [256, 2400, 4096],
    [64, 4096, 4096],
    [1000, 1000, 1000],
];

/// Bytes of an IDX file after its header, plain or gzip.
fn idx(name: &str, header: usize) -> Vec<u8> {
    let directory = std::env::var_os("KILN_DATA_DIR").map_or_else(|| PathBuf::from("data"), PathBuf::from).join("mnist");
    let mut bytes = Vec::new();
    if let Ok(plain) = std::fs::read(directory.join(name)) {
        bytes = plain;
    } else {
        let path = directory.join(format!("{name}.gz"));
        let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    }
    bytes.split_off(header)
}

/// Pixels in [0, 1], row by row, and labels: of 60,000 images to learn from and 10,000 to test on.
pub fn mnist() -> [(Vec<f32>, Vec<u8>); 2] {
    ["train", "t10k"].map(|part| {
        let pixels = idx(&format!("{part}-images-idx3-ubyte"), 16);
        (pixels.into_iter().map(|p| p as f32 / 255.0).collect(), idx(&format!("{part}-labels-idx1-ubyte"), 8))
    })
}

/// Whole-number arguments after the task, with their defaults.
pub fn argument(position: usize, default: u64) -> u64 {
    std::env::args().nth(1 + position).map_or(default, |given| given.parse().expect("a whole number"))
}

/// GFLOP/s of the best run of half a second.
pub fn gflops([m, k, n]: [usize; 3], mut once: impl FnMut()) -> f64 {
    once();
    let (begun, mut best) = (Instant::now(), Duration::MAX);
    while begun.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        once();
        best = best.min(start.elapsed());
    }
    2.0 * (m * k * n) as f64 / best.as_secs_f64() / 1e9
}
