//! GFLOP/s of inference's convolutions beside `conv::forward`, or microseconds of a small network:
//! `cargo run --release -p kiln-cpu --example inference [part of a name]`.

use kiln_cpu::conv::{Conv, forward};
use kiln_cpu::gemm::GemmEpilogue;
use kiln_cpu::inference::{Epilogue, Filter, Step, Way, map_len, padded};
use kiln_cpu::{Isa, team};
use std::time::Instant;

/// Groups, inputs, outputs, size, kernel, stride, padding.
const FORMS: [(&str, [usize; 7]); 15] = [
    ("3x3 64@56", [1, 64, 64, 56, 3, 1, 1]),
    ("3x3 128@28", [1, 128, 128, 28, 3, 1, 1]),
    ("3x3 256@14", [1, 256, 256, 14, 3, 1, 1]),
    ("3x3 512@7", [1, 512, 512, 7, 3, 1, 1]),
    ("3x3/2 64-128@28", [1, 64, 128, 56, 3, 2, 1]),
    ("3x3/2 256-512@7", [1, 256, 512, 14, 3, 2, 1]),
    ("7x7/2 3-64@112", [1, 3, 64, 224, 7, 2, 3]),
    ("1x1 64-256@56", [1, 64, 256, 56, 1, 1, 0]),
    ("1x1 256-64@56", [1, 256, 64, 56, 1, 1, 0]),
    ("1x1 512-128@28", [1, 512, 128, 28, 1, 1, 0]),
    ("1x1 256-1024@14", [1, 256, 1024, 14, 1, 1, 0]),
    ("1x1 512-2048@7", [1, 512, 2048, 7, 1, 1, 0]),
    ("1x1 2048-512@7", [1, 2048, 512, 7, 1, 1, 0]),
    ("depthwise 3x3 64@56", [64, 1, 1, 56, 3, 1, 1]),
    ("depthwise 5x5 128@28", [128, 1, 1, 28, 5, 1, 2]),
];

/// The best of the runs of half a second, in seconds.
fn seconds(mut f: impl FnMut()) -> f64 {
    f();
    let (begin, mut best) = (Instant::now(), f64::MAX);
    while begin.elapsed().as_secs_f64() < 0.4 {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn filled(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i % 127) as f32 / 64.0 - 1.0).collect()
}

/// Seconds of a filter. Weights come from as many copies as do not fit the caches.
fn filter(isa: Isa, way: Way, conv: &Conv) -> f64 {
    let filter = Filter::new(isa, way, conv);
    let copies = ((40 << 20) / (4 * filter.room().max(1))).clamp(1, 64);
    let mut packed = vec![0.0; filter.room()];
    filter.pack(&filled(conv.groups * conv.outputs * conv.inputs * conv.taps()), None, &mut packed);
    let copies = vec![packed; copies];
    let x = filled(map_len(conv.batch, conv.groups * conv.inputs, conv.plane()));
    let channels = conv.groups * conv.outputs;
    let mut y = vec![0.0; map_len(conv.batch, channels, conv.out_plane())];
    let bias = vec![0.5; padded(channels)];
    let mut scratch = vec![0.0; filter.scratch(team::threads())];
    let epilogue = [Step::Bias(&bias), Step::Relu];
    let mut next = 0;
    seconds(|| {
        next = (next + 1) % copies.len();
        filter.run(&copies[next], &x, &mut y, &mut scratch, &Epilogue::new(&epilogue));
    })
}

/// Microseconds of 784-128-10 with one row.
fn small_network(isa: Isa) {
    let layers = [Filter::dense(isa, 1, 784, 128), Filter::dense(isa, 1, 128, 10)];
    let mut packed = layers.each_ref().map(|layer| vec![0.0; layer.room()]);
    packed.iter_mut().zip(&layers).for_each(|(to, layer)| {
        layer.pack(&filled(layer.form().inputs * layer.form().outputs), None, to);
    });
    let (x, mut hidden, mut y) = (filled(784), vec![0.0; 128], vec![0.0; 16]);
    let bias = vec![0.5; 128];
    let mut scratch = vec![0.0; layers[0].scratch(1).max(layers[1].scratch(1))];
    let both = [Step::Bias(&bias), Step::Relu];
    let time = seconds(|| {
        layers[0].run(&packed[0], &x, &mut hidden, &mut scratch, &Epilogue::new(&both));
        layers[1].run(&packed[1], &hidden, &mut y, &mut scratch, &Epilogue::new(&[Step::Bias(&bias[..16])]));
    });
    let second = seconds(|| {
        layers[1].run(&packed[1], &hidden, &mut y, &mut scratch, &Epilogue::new(&[Step::Bias(&bias[..16])]));
    });
    println!("784-128-10 with one row: {:.2} us, its second layer {:.2} us", time * 1e6, second * 1e6);
}

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let isa = Isa::best();
    team::run(|| {
        if wanted.is_empty() || wanted == "dense" {
            small_network(isa);
        }
        for (name, [groups, inputs, outputs, size, kernel, stride, padding]) in FORMS {
            if !name.contains(&wanted) {
                continue;
            }
            for batch in [1, 32] {
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
                let (x, w) = (
                    filled(batch * groups * inputs * size * size),
                    filled(groups * outputs * inputs * kernel * kernel),
                );
                let mut y = vec![0.0; batch * groups * outputs * out * out];
                let work = 2e-9 * (y.len() * inputs * kernel * kernel) as f64;
                let today = work / seconds(|| forward(isa, &conv, &x, &w, &mut y, &GemmEpilogue::default()));
                let ways = [Way::Direct, Way::WinogradF2, Way::WinogradF4].into_iter().filter(|way| way.suits(&conv));
                let each: Vec<_> = ways.map(|way| format!("{way:?} {:4.0}", work / filter(isa, way, &conv))).collect();
                println!("{name:22} batch {batch:2}: forward {today:4.0}  {}", each.join("  "));
            }
        }
    });
}
