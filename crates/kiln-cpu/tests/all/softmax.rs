//! Softmax and cross-entropy against their formulas in f64.

use crate::views::{fused, on_teams};
use kiln_cpu::Isa;
use kiln_cpu::softmax::{
    Labels, SoftmaxKind, Target, cross_entropy, cross_entropy_grad, logsumexp, softmax, softmax_grad,
};
use proptest::prelude::*;

fn log_softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    row.iter().map(|x| x - max - log).collect()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a - b).abs() <= tolerance * (1.0 + b.abs()) || a.is_nan() && b.is_nan()
}

/// Rows × width, logits, and a second array of their size.
fn rows() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>)> {
    (0usize..20, prop_oneof![1usize..40, 250usize..260]).prop_flat_map(|(rows, width)| {
        let n = rows * width;
        let logit = prop_oneof![9 => -20.0f32..20.0, 1 => -2000.0f32..2000.0];
        (Just(width), prop::collection::vec(logit, n), prop::collection::vec(-2.0f32..2.0, n))
    })
}

/// The rows of f32 numbers in f64.
fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

proptest! {
    #[test]
    fn rows_and_their_gradients((width, x, dy) in rows()) {
        for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
            let mut bits: Option<Vec<u32>> = None;
            for &isa in Isa::available() {
                let mut y = vec![0.0f32; x.len()];
                softmax(isa, kind, &mut y, &x, width);
                let mut dx = vec![0.0f32; x.len()];
                softmax_grad(isa, kind, &mut dx, &y, &dy, width);
                for (i, row) in wide(&x).chunks(width).enumerate() {
                    let part = i * width..(i + 1) * width;
                    let logs = log_softmax(row);
                    let (y, dy, dx) = (wide(&y[part.clone()]), wide(&dy[part.clone()]), &dx[part]);
                    let dot: f64 = y.iter().zip(&dy).map(|(y, dy)| y * dy).sum();
                    let sum: f64 = dy.iter().sum();
                    for j in 0..width {
                        let (expected, slope) = match kind {
                            SoftmaxKind::Softmax => (logs[j].exp(), y[j] * (dy[j] - dot)),
                            SoftmaxKind::LogSoftmax => (logs[j], dy[j] - y[j].exp() * sum),
                        };
                        prop_assert!(near(y[j], expected, 1e-6), "{:?}: {} {}", kind, y[j], expected);
                        prop_assert!(near(dx[j].into(), slope, 2e-5), "{:?} gradient: {} {}", kind, dx[j], slope);
                    }
                }
                if isa.fused() {
                    let these: Vec<u32> = y.iter().chain(&dx).map(|v| v.to_bits()).collect();
                    prop_assert!(bits.get_or_insert_with(|| these.clone()) == &these, "{}", isa.name());
                }
            }
            let mut y = vec![0.0f64; x.len()];
            softmax(Isa::best(), kind, &mut y, &wide(&x), width);
            for (y, row) in y.chunks(width).zip(wide(&x).chunks(width)) {
                for (y, log) in y.iter().zip(log_softmax(row)) {
                    let expected = if kind == SoftmaxKind::Softmax { log.exp() } else { log };
                    prop_assert!(near(*y, expected, 1e-13));
                }
            }
        }
    }

    #[test]
    fn cross_entropy_with_labels_and_with_weights((width, x, weights) in rows(), seed in any::<u64>()) {
        let count = x.len() / width;
        let labels: Vec<i64> = (0..count).map(|i| ((seed >> (i % 40)) as usize % width) as i64).collect();
        let bytes: Vec<u8> = labels.iter().map(|&l| l as u8).collect();
        let weights: Vec<f32> = weights.iter().map(|w| w.abs()).collect();
        let one_hot: Vec<f32> = (0..x.len()).map(|i| f32::from(labels[i / width] as usize == i % width)).collect();
        let upstream = |row: usize| 0.5 + row as f32 * 0.25;
        let targets = [
            (Target::Labels(Labels::I64(&labels)), &one_hot),
            (Target::Weights(&one_hot), &one_hot),
            (Target::Weights(&weights), &weights),
        ];
        for &isa in Isa::available() {
            for (target, t) in targets {
                let mut loss = vec![0.0f32; count];
                cross_entropy(isa, &mut loss, &x, target, width);
                let mut dx = vec![0.0f32; x.len()];
                cross_entropy_grad(isa, &mut dx, &x, target, &upstream, width);
                for (row, logits) in wide(&x).chunks(width).enumerate() {
                    let (logs, t) = (log_softmax(logits), wide(&t[row * width..(row + 1) * width]));
                    let expected: f64 = -logs.iter().zip(&t).map(|(l, t)| l * t).sum::<f64>();
                    prop_assert!(near(loss[row].into(), expected, 1e-5), "{} {}", loss[row], expected);
                    let mass: f64 = t.iter().sum();
                    for j in 0..width {
                        let slope = f64::from(upstream(row)) * (logs[j].exp() * mass - t[j]);
                        let got = f64::from(dx[row * width + j]);
                        prop_assert!(near(got, slope, 2e-5), "{} {}", got, slope);
                    }
                }
            }
            if width <= 256 {
                let (mut a, mut b) = (vec![0.0f32; count], vec![0.0f32; count]);
                cross_entropy(isa, &mut a, &x, Target::Labels(Labels::I64(&labels)), width);
                cross_entropy(isa, &mut b, &x, Target::Labels(Labels::U8(&bytes)), width);
                prop_assert_eq!(a, b);
            }
        }
    }
}

/// Rows of up to LANES elements go another way; with a masked class more they are wide, and must have the same bits.
#[test]
fn narrow_rows_have_the_bits_of_wide_ones() {
    let (rows, width, wider) = (37, 10, 17);
    let x: Vec<f32> = (0..rows * width).map(|i| ((i * 7919) % 2003) as f32 * 0.01 - 10.0).collect();
    let mut padded = vec![f32::NEG_INFINITY; rows * wider];
    for (to, from) in padded.chunks_mut(wider).zip(x.chunks(width)) {
        to[..width].copy_from_slice(from);
    }
    let labels: Vec<u8> = (0..rows).map(|i| (i % width) as u8).collect();
    let target = Target::Labels(Labels::U8(&labels));
    for &isa in Isa::available() {
        let (mut loss, mut loss_padded) = (vec![0.0f32; rows], vec![0.0f32; rows]);
        cross_entropy(isa, &mut loss, &x, target, width);
        cross_entropy(isa, &mut loss_padded, &padded, target, wider);
        assert_eq!(loss, loss_padded);
        for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
            let (mut y, mut y_padded) = (vec![0.0f32; x.len()], vec![0.0f32; padded.len()]);
            softmax(isa, kind, &mut y, &x, width);
            softmax(isa, kind, &mut y_padded, &padded, wider);
            assert!(y.chunks(width).zip(y_padded.chunks(wider)).all(|(a, b)| a == &b[..width]), "{kind:?}");
        }
        let (mut dx, mut dx_padded) = (vec![0.0f32; x.len()], vec![0.0f32; padded.len()]);
        cross_entropy_grad(isa, &mut dx, &x, target, &|row| row as f32, width);
        cross_entropy_grad(isa, &mut dx_padded, &padded, target, &|row| row as f32, wider);
        assert!(dx.chunks(width).zip(dx_padded.chunks(wider)).all(|(a, b)| a == &b[..width]));
    }
}

/// Half types are converted some rows at a time: each row has the bits of f32's, rounded.
#[test]
fn rows_of_half_types_are_those_of_f32_rounded() {
    use half::{bf16, f16};
    use kiln_cpu::operand::Stored;
    fn check<E: Stored<Compute = f32> + PartialEq + std::fmt::Debug>() {
        for (rows, width) in
            [(1, 1), (37, 10), (5, 16), (700, 7), (3, 17), (9, 300), (2, 5000), (1, 70_000), (130, 600)]
        {
            let numbers = |seed: usize| -> Vec<E> {
                (0..rows * width).map(|i| E::store((((i + seed) * 7919) % 2003) as f32 * 0.01 - 10.0)).collect()
            };
            let wide = |x: &[E]| -> Vec<f32> { x.iter().map(|x| x.load()).collect() };
            let (x, dy, zero) = (numbers(0), numbers(5), E::store(0.0));
            for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax] {
                let (mut y, mut exact) = (vec![zero; x.len()], vec![0.0; x.len()]);
                softmax(Isa::best(), kind, &mut y, &x, width);
                softmax(Isa::best(), kind, &mut exact, &wide(&x), width);
                assert!(y.iter().zip(&exact).all(|(&y, &exact)| y == E::store(exact)), "{rows} x {width}");
                let mut dx = vec![zero; x.len()];
                softmax_grad(Isa::best(), kind, &mut dx, &y, &dy, width);
                softmax_grad(Isa::best(), kind, &mut exact, &wide(&y), &wide(&dy), width);
                assert!(dx.iter().zip(&exact).all(|(&dx, &exact)| dx == E::store(exact)), "{rows} x {width}");
            }
            let (mut sums, mut exact) = (vec![zero; rows], vec![0.0; rows]);
            logsumexp(Isa::best(), &mut sums, &x, width);
            logsumexp(Isa::best(), &mut exact, &wide(&x), width);
            assert!(sums.iter().zip(&exact).all(|(&sum, &exact)| sum == E::store(exact)), "{rows} x {width}");
        }
    }
    check::<bf16>();
    check::<f16>();
}

#[test]
fn labels_outside_are_found() {
    assert_eq!(Labels::I64(&[0, 9, 3]).outside(10), None);
    assert_eq!(Labels::I64(&[0, 10, -1]).outside(10), Some((1, 10)));
    assert_eq!(Labels::I64(&[0, 9, -1]).outside(10), Some((2, -1)));
    assert_eq!(Labels::U8(&[255]).outside(255), Some((0, 255)));
    assert_eq!(Labels::U8(&[]).outside(0), None);
}

/// −∞ masks a class out; a row of nothing else, or with a NaN, is NaN.
#[test]
fn infinite_and_missing_logits() {
    let inf = f32::INFINITY;
    let x = [-inf, 1.0, 1.0, -inf, -inf, -inf, 0.0, f32::NAN, 2.0];
    for &isa in Isa::available() {
        let mut y = [9.0f32; 9];
        softmax(isa, SoftmaxKind::Softmax, &mut y, &x, 3);
        assert_eq!(y[..3], [0.0, 0.5, 0.5]);
        assert!(y[3..].iter().all(|y| y.is_nan()), "{y:?}");
        softmax(isa, SoftmaxKind::LogSoftmax, &mut y, &x, 3);
        assert!(y[0] == -inf && (y[1] + std::f32::consts::LN_2).abs() < 1e-6 && y[7].is_nan());
        let mut loss = [0.0f32];
        cross_entropy(isa, &mut loss, &x[..3], Target::Weights(&[0.0, 0.5, 0.5]), 3);
        assert!((loss[0] - std::f32::consts::LN_2).abs() < 1e-6, "{loss:?}");
    }
}

#[test]
fn threads_do_not_change_results() {
    let (rows, width) = (700, 131);
    let x: Vec<f32> = (0..rows * width).map(|i| ((i * 7919) % 2003) as f32 * 0.01 - 10.0).collect();
    let labels: Vec<u8> = (0..rows).map(|i| (i % width) as u8).collect();
    for isa in fused() {
        on_teams(|| {
            let (mut y, mut loss, mut dx) = (vec![0.0; x.len()], vec![0.0f32; rows], vec![0.0; x.len()]);
            softmax(isa, SoftmaxKind::Softmax, &mut y, &x, width);
            cross_entropy(isa, &mut loss, &x, Target::Labels(Labels::U8(&labels)), width);
            cross_entropy_grad(isa, &mut dx, &x, Target::Labels(Labels::U8(&labels)), &|_| 1.0, width);
            (y, loss, dx)
        });
    }
}
