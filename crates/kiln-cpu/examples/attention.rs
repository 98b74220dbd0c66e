//! Milliseconds of causal attention, forward and backward, by (batch, heads, length, width), and of one query against a cache of
//! keys: `cargo run --release -p kiln-cpu --example attention [BxHxLxW | BxHx1xWxKEYS]…`.

use kiln_cpu::attention::{Form, Gradients, Mask, Operand, OperandMut, Operands, Saved, backward, forward};
use kiln_cpu::{Isa, team};
use std::time::Instant;

const SHAPES: &str = "8x8x512x64 1x8x4096x64 1x1x4096x64 1x12x1x64x1024 1x12x1x64x8192 32x4x64x32";

/// The least milliseconds of a second of runs.
fn time(mut f: impl FnMut()) -> f64 {
    f();
    let mut times: Vec<f64> = Vec::new();
    let begun = Instant::now();
    while times.len() < 3 || begun.elapsed().as_secs_f64() < 1.0 {
        let start = Instant::now();
        f();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[0]
}

fn numbers(count: usize, step: usize) -> Vec<f32> {
    (0..count).map(|i| (i * step % 1013) as f32 / 506.5 - 1.0).collect()
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let shapes: Vec<&str> =
        if given.is_empty() { SHAPES.split_whitespace().collect() } else { given.iter().map(String::as_str).collect() };
    team::run(|| {
        for shape in shapes {
            let sizes: Vec<usize> = shape.split('x').flat_map(str::parse).collect();
            match sizes[..] {
                [batch, heads, length, width] => measure(shape, [batch, heads, length, length, width]),
                [batch, heads, queries, width, keys] => measure(shape, [batch, heads, queries, keys, width]),
                _ => println!("{shape}: BxHxLxW or BxHxQxWxKEYS is expected"),
            }
        }
    });
}

fn measure(shape: &str, [batch, heads, queries, keys, width]: [usize; 5]) {
    let form = Form {
        batch,
        heads,
        key_heads: heads,
        queries,
        keys,
        width,
        value_width: width,
        scale: 1.0 / (width as f32).sqrt(),
        causal: true,
        window: None,
        slopes: None,
        packed: None,
    };
    let strides = |length: usize| [heads * length * width, length * width, width].map(|stride| stride as isize);
    let lent = |x: &[f32], length| Operand { first: x.as_ptr(), strides: strides(length) };
    let lent_mut = |x: &mut [f32], length| OperandMut { first: x.as_mut_ptr(), strides: strides(length) };
    let (of_queries, of_keys) = (batch * heads * queries * width, batch * heads * keys * width);
    let (q, k, v, dout) =
        (numbers(of_queries, 7919), numbers(of_keys, 104_729), numbers(of_keys, 31), numbers(of_queries, 17));
    let (mut out, mut lse) = (vec![0.0; of_queries], vec![0.0; batch * heads * queries]);
    let (mut dq, mut dk, mut dv) = (vec![0.0; of_queries], vec![0.0; of_keys], vec![0.0; of_keys]);
    let operands = Operands {
        query: lent(&q, queries),
        key: lent(&k, keys),
        value: lent(&v, keys),
        mask: Mask::None,
        dropout: None,
    };
    let to = lent_mut(&mut out, queries);
    // SAFETY: all slices are as large as the form says.
    let ahead = time(|| unsafe { forward(Isa::best(), &form, &operands, &to, &mut lse) });
    let bytes = 8.0 * of_keys as f64;
    if queries == 1 {
        return println!("{shape:16} forward {ahead:8.3} ms ({:.1} GB/s)", bytes / ahead * 1e-6);
    }
    let gradients =
        Gradients { query: lent_mut(&mut dq, queries), key: lent_mut(&mut dk, keys), value: lent_mut(&mut dv, keys) };
    let saved = Saved { out: lent(&out, queries), lse: &lse, out_grad: lent(&dout, queries) };
    // SAFETY: as above.
    let back = time(|| unsafe { backward(Isa::best(), &form, &operands, &saved, &gradients) });
    // One product of half of all pairs, those that are seen.
    let product = (batch * heads * queries * keys * width) as f64 * 1e-6;
    println!(
        "{shape:16} forward {ahead:8.3} ms ({:.0} GFLOP/s), backward {back:8.3} ms ({:.0}), both {:8.3}",
        2.0 * product / ahead,
        5.0 * product / back,
        ahead + back
    );
}
