//! Milliseconds of a convolution and its gradients, in the forms of AlexNet (32×32 images, batch 64) and ResNet (batch 32).
//!
//! `cargo run --release -p kiln-cpu --example conv [NAME]`

use kiln_cpu::conv::{Conv, forward, grad_input, grad_weight};
use kiln_cpu::gemm::GemmEpilogue;
use kiln_cpu::{Isa, team};
use std::time::{Duration, Instant};

/// Name, images, groups, channels in and out of a group, size, kernel, stride, padding.
type Form = (&'static str, [usize; 8]);

const FORMS: [Form; 10] = [
    ("alexnet-1", [64, 1, 3, 96, 32, 11, 4, 4]),
    ("alexnet-2", [64, 1, 96, 256, 4, 5, 1, 2]),
    ("alexnet-3", [64, 1, 256, 384, 2, 3, 1, 1]),
    ("alexnet-4", [64, 1, 384, 384, 2, 3, 1, 1]),
    ("alexnet-5", [64, 1, 384, 256, 2, 3, 1, 1]),
    ("resnet-first-7x7", [32, 1, 3, 64, 224, 7, 2, 3]),
    ("resnet-3x3-64-56", [32, 1, 64, 64, 56, 3, 1, 1]),
    ("resnet-3x3-256-14", [32, 1, 256, 256, 14, 3, 1, 1]),
    ("resnet-1x1-256-14", [32, 1, 256, 256, 14, 1, 1, 0]),
    ("depthwise-3x3-128-28", [32, 128, 1, 1, 28, 3, 1, 1]),
];

fn milliseconds(mut f: impl FnMut()) -> f64 {
    f();
    let (begun, mut best) = (Instant::now(), f64::INFINITY);
    while begun.elapsed() < Duration::from_millis(400) {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e3
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let isa = Isa::best();
    for (name, [batch, groups, inputs, outputs, size, kernel, stride, padding]) in FORMS {
        if !name.contains(&wanted) {
            continue;
        }
        let out = (size + 2 * padding - kernel) / stride + 1;
        let conv = Conv {
            batch,
            groups,
            inputs,
            outputs,
            size: [1, size, size],
            out: [1, out, out],
            kernel: [1, kernel, kernel],
            stride: [1, stride, stride],
            dilation: [1; 3],
            before: [0, padding, padding],
        };
        let filled = |count: usize| (0..count).map(|i| (i % 127) as f32 / 64.0 - 1.0).collect::<Vec<_>>();
        let (mut x, mut w) =
            (filled(batch * groups * inputs * size * size), filled(groups * outputs * inputs * kernel * kernel));
        let dy = filled(batch * groups * outputs * out * out);
        let mut y = dy.clone();
        let work = 2e-6 * (dy.len() * inputs * kernel * kernel) as f64;
        let times = team::run(|| {
            let forward = milliseconds(|| forward(isa, &conv, &x, &w, &mut y, &GemmEpilogue::default()));
            let weight = milliseconds(|| grad_weight(isa, &conv, &x, &dy, &mut w));
            let input = milliseconds(|| grad_input(isa, &conv, &dy, &w, &mut x));
            [forward, input, weight]
        });
        let each = times.map(|ms| format!("{ms:8.2} ms {:4.0}", work / ms));
        println!("{name:22} {work:7.0} MFLOP   {}", each.join("   "));
    }
}
