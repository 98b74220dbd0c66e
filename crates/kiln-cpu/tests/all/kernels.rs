//! The bits of reductions, softmax and draws: fixed by the shape alone, for any instruction set that fuses and any
//! number of threads; and the documented order of a reduction, by a plain implementation of it.

use kiln_cpu::gather::{self, Along, Index};
use kiln_cpu::operand::{Number, Output, Strided};
use kiln_cpu::random::{self, Draw};
use kiln_cpu::reduce::{CHUNK, LANES, Reduction, reduce};
use kiln_cpu::softmax::{self, Labels, SoftmaxKind, Target};
use kiln_cpu::{Isa, team};
use kiln_math::{Purpose, RandomStream};
use proptest::prelude::*;
use std::sync::LazyLock;

const OPS: [Reduction; 5] = [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min, Reduction::Prod];

/// Pools of 1, 2 and 3 threads.
static POOLS: LazyLock<Vec<team::ThreadPool>> = LazyLock::new(|| (1..=3).map(team::ThreadPool::new).collect());

/// A number's bits; all NaN are one.
trait Bits: Number {
    fn bits(self) -> u64;
}
impl Bits for f32 {
    fn bits(self) -> u64 {
        if self.is_nan() { u64::MAX } else { u64::from(self.to_bits()) }
    }
}
impl Bits for f64 {
    fn bits(self) -> u64 {
        if self.is_nan() { u64::MAX } else { self.to_bits() }
    }
}

fn bits<T: Bits>(values: &[T]) -> Vec<u64> {
    values.iter().map(|&value| value.bits()).collect()
}

/// Runs `kernel` on every instruction set and pool; the bits of those that fuse are all the same, those of the portable one
/// are its own but do not depend on the pool. Returns the result of the widest.
fn everywhere<T: Bits>(what: &str, kernel: impl Fn(Isa) -> Vec<T> + Sync) -> Vec<T> {
    let mut first: Vec<Option<Vec<u64>>> = vec![None, None];
    let mut widest = None;
    for &isa in Isa::available() {
        for (threads, pool) in (1..).zip(POOLS.iter()) {
            let result = team::run_in(pool, || kernel(isa));
            let found = bits(&result);
            let expected = first[usize::from(isa.fused())].get_or_insert_with(|| found.clone());
            if let Some(at) = (0..found.len()).find(|&i| found[i] != expected[i]) {
                panic!("{what}: {isa:?} with {threads} threads differs at {at} of {}", found.len());
            }
            widest.get_or_insert(result);
        }
    }
    widest.unwrap()
}

fn numbers<T: Number>(count: usize, seed: u64) -> Vec<T> {
    let mut stream = RandomStream::new(seed, Purpose::Data, 1);
    (0..count).map(|_| T::from_f64(f64::from(stream.normal()))).collect()
}

fn combine<T: Number>(op: Reduction, a: T, b: T) -> T {
    match op {
        Reduction::Sum | Reduction::Mean => a + b,
        Reduction::Max => a.maximum(b),
        Reduction::Min => a.minimum(b),
        Reduction::Prod => a * b,
    }
}

/// The tree as it is documented: lanes within chunks, combined in halves; then the chunks' results by the same rule.
fn tree<T: Number>(op: Reduction, values: &[T]) -> T {
    let identity = T::from_f64(match op {
        Reduction::Sum | Reduction::Mean => 0.0,
        Reduction::Prod => 1.0,
        Reduction::Max => f64::NEG_INFINITY,
        Reduction::Min => f64::INFINITY,
    });
    if values.len() > CHUNK {
        let chunks: Vec<T> = values.chunks(CHUNK).map(|chunk| tree(op, chunk)).collect();
        return tree(op, &chunks);
    }
    let mut lanes = [identity; LANES];
    for (i, &value) in values.iter().enumerate() {
        lanes[i % LANES] = combine(op, lanes[i % LANES], value);
    }
    for width in [8, 4, 2, 1] {
        for j in 0..width {
            lanes[j] = combine(op, lanes[j], lanes[j + width]);
        }
    }
    lanes[0]
}

/// Reduces axes of a row-major array by kernel and by tree, and compares the bits.
fn check_tree<T: Bits + kiln_cpu::operand::Stored<Compute = T>>(
    shape: &[usize],
    axes: &[usize],
    op: Reduction,
    x: &[T],
) {
    let mut strides = vec![1isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis] as isize;
    }
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let outputs = kept.iter().map(|&axis| shape[axis]).product();
    let mut groups = vec![Vec::new(); outputs];
    for (flat, &value) in x.iter().enumerate() {
        let index = |axis: usize| flat / strides[axis] as usize % shape[axis];
        groups[kept.iter().fold(0, |place, &axis| place * shape[axis] + index(axis))].push(value);
    }
    let mean = |group: &Vec<T>| if op == Reduction::Mean { T::from_f64(group.len() as f64) } else { T::from_f64(1.0) };
    let want: Vec<T> = groups.iter().map(|group| tree(op, group) / mean(group)).collect();
    let got = everywhere(&format!("{op:?} over {axes:?} of {shape:?}"), |isa| {
        let mut out = vec![T::default(); outputs];
        // SAFETY: the array has as many elements as its shape says.
        let view = unsafe { Strided::new(x.as_ptr(), shape, &strides) };
        reduce(isa, op, &mut Output::from_slice(&mut out), view, axes);
        out
    });
    assert_eq!(bits(&got), bits(&want), "{op:?} over {axes:?} of {shape:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn reductions_follow_the_tree(
        shape in prop::collection::vec(prop_oneof![1usize..6, 15usize..18, 31usize..70], 0..4),
        set in any::<u8>(),
        op in 0..OPS.len(),
        seed in any::<u64>(),
    ) {
        prop_assume!(shape.iter().product::<usize>() <= 40_000);
        let axes: Vec<usize> = (0..shape.len()).filter(|axis| set >> axis & 1 == 1).collect();
        let count = shape.iter().product();
        check_tree::<f32>(&shape, &axes, OPS[op], &numbers(count, seed));
        check_tree::<f64>(&shape, &axes, OPS[op], &numbers(count, seed));
    }

    #[test]
    fn softmax_has_the_same_bits_everywhere(rows in 0usize..40, width in 1usize..1200, seed in any::<u64>()) {
        let (x, dy) = (numbers::<f32>(rows * width, seed), numbers::<f32>(rows * width, seed ^ 1));
        let mut stream = RandomStream::new(seed, Purpose::Data, 9);
        let labels: Vec<i64> = (0..rows).map(|_| i64::from(stream.below(width as u32))).collect();
        for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
            let run = |isa| {
                let mut y = vec![0.0; x.len()];
                softmax::softmax(isa, kind, &mut y, &x, width);
                y
            };
            everywhere("softmax", run);
            everywhere("softmax_grad", |isa| {
                let mut dx = vec![0.0; x.len()];
                softmax::softmax_grad(isa, kind, &mut dx, &x, &dy, width);
                dx
            });
        }
        for target in [Target::Labels(Labels::I64(&labels)), Target::Weights(&dy)] {
            everywhere("cross_entropy", |isa| {
                let mut losses = vec![0.0; rows];
                softmax::cross_entropy(isa, &mut losses, &x, target, width);
                losses
            });
            everywhere("cross_entropy_grad", |isa| {
                let mut dx = vec![0.0; x.len()];
                softmax::cross_entropy_grad(isa, &mut dx, &x, target, &|row| row as f32 * 0.5, width);
                dx
            });
        }
    }
}

#[test]
fn long_reductions_follow_the_tree() {
    for op in OPS {
        for (shape, axes) in [
            (&[CHUNK - 1][..], &[0][..]),
            (&[CHUNK + 1], &[0]),
            (&[70_001], &[0]),
            (&[3, 30_000], &[1]),
            (&[30_000, 3], &[0]),
            (&[1000, 130], &[0]),
            (&[130, 1000], &[1]),
            (&[40, 50, 60], &[0, 2]),
        ] {
            check_tree::<f32>(shape, axes, op, &numbers(shape.iter().product(), 5));
        }
    }
    // Chunks of chunks: the tree has three levels.
    let count = CHUNK * 4100;
    let x: Vec<f32> = (0..count).map(|i| ((i * 7919) % 1009) as f32 - 504.25).collect();
    let mut out = [0.0];
    // SAFETY: an array of this many elements.
    let view = unsafe { Strided::new(x.as_ptr(), std::slice::from_ref(&count), &[1]) };
    reduce(Isa::best(), Reduction::Sum, &mut Output::from_slice(&mut out), view, &[0]);
    assert_eq!(out[0].to_bits(), tree(Reduction::Sum, &x).to_bits());
}

/// Draws are what the stream's words say, whoever computes them.
#[test]
fn draws_do_not_depend_on_threads() {
    let draw = Draw { key: 0x1234_5678_9abc_def0, counter: 3 };
    for size in [0, 1, 63, 1000, 65_535, 65_537, 200_003] {
        let uniform = everywhere("uniform", |isa| {
            let mut out = vec![0f32; size];
            random::uniform(isa, &mut out, draw, -1.0, 3.0);
            out
        });
        let normal = everywhere("normal", |_| {
            let mut out = vec![0f32; size];
            random::normal(&mut out, draw, 1.0, 2.0);
            out
        });
        let x = vec![1f32; size];
        let kept = everywhere("dropout", |isa| {
            let mut out = vec![0f32; size];
            random::dropout(isa, &mut out, &x, draw, 0.3);
            out
        });
        // A prefix of a longer draw is the shorter draw.
        let mut less = vec![0f32; size / 2];
        random::uniform(Isa::Portable, &mut less, draw, -1.0, 3.0);
        assert_eq!(less, uniform[..size / 2]);
        if size == 200_003 {
            let n = size as f64;
            let moments = |values: &[f32]| {
                let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
                let square = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
                (mean, square)
            };
            // Within five standard errors.
            let (mean, variance) = moments(&uniform);
            assert!((mean - 1.0).abs() < 5.0 * (16.0 / 12.0 / n).sqrt() && (variance - 16.0 / 12.0).abs() < 0.02);
            let (mean, variance) = moments(&normal);
            assert!(
                (mean - 1.0).abs() < 5.0 * (4.0 / n).sqrt() && (variance - 4.0).abs() < 5.0 * 4.0 * (2.0 / n).sqrt()
            );
            let share = kept.iter().filter(|&&v| v != 0.0).count() as f64 / n;
            assert!((share - 0.7).abs() < 5.0 * (0.21 / n).sqrt(), "{share}");
            assert!(uniform.iter().all(|v| (-1.0..3.0).contains(v)));
        }
    }
}

#[test]
fn equal_indices_add_up_in_order() {
    // Sums that differ when the order does.
    let y = [1e8f32, 1.0, -1e8, 1.0];
    let index = [1i64; 4];
    let along = Along { outer: 1, axis: 3, indices: 4, inner: 1 };
    let result = everywhere("scatter", |_| {
        let mut out = vec![0f32; 3];
        // SAFETY: four indices.
        let index = unsafe { Strided::new(index.as_ptr(), &[4], &[1]) };
        gather::scatter(&mut out, &y, Index::Rows(index), along, |a, b| a + b);
        out
    });
    assert_eq!(result, [0.0, ((1e8f32 + 1.0) - 1e8) + 1.0, 0.0]);
}
