//! Softmax and cross-entropy against their formulas.

use super::cases::{Cases, FLOATS, Operand, Values, expect, output, rounded, tensor_of};
use super::composed::{outcome, ran};
use crate::{
    Call, CrossEntropyCall, CrossEntropyGradCall, DType, Device, LogsumexpCall, Shape, SoftmaxCall, SoftmaxGradCall,
    SoftmaxKind,
};

const KINDS: [SoftmaxKind; 2] = [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax];

/// Roundings of a half type count where a device composes the primitive and stores what is between.
fn leeway(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 1e4,
        DType::BF16 => 1e5,
        _ => 2.0,
    }
}

fn softmax_row(kind: SoftmaxKind, row: &[f64]) -> Vec<f64> {
    let max =
        if row.iter().any(|v| v.is_nan()) { f64::NAN } else { row.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
    let sum: f64 = row.iter().map(|&x| (x - max).exp()).sum();
    let value = |&x: &f64| match kind {
        SoftmaxKind::Softmax => (x - max).exp() / sum,
        SoftmaxKind::LogSoftmax => x - max - sum.ln(),
    };
    row.iter().map(value).collect()
}

/// A shape of at least one axis, often long rows.
fn shape(cases: &mut Cases) -> Shape {
    match cases.below(6) {
        0 => Shape::new(&[300, 100]).unwrap(),
        1 => Shape::new(&[2, 1000]).unwrap(),
        _ => {
            let rank = 1 + cases.below(3);
            cases.shape_of_rank(rank)
        }
    }
}

fn rows(values: &[f64], shape: &Shape) -> Vec<Vec<f64>> {
    let width = shape.last().copied().unwrap_or(1).max(1);
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

pub(super) fn softmax(device: &Device) {
    let mut cases = Cases::new(device, 60);
    for dtype in FLOATS {
        for case in 0..24 {
            let shape = shape(&mut cases);
            let values = match case % 4 {
                0 => Values::Between(-90.0, 90.0),
                1 => Values::Special(-3.0, 3.0),
                _ => Values::Between(-4.0, 4.0),
            };
            let x = cases.operand(&shape, dtype, values);
            for kind in KINDS {
                let out = output(&shape, dtype, device);
                let call = Call::Softmax(SoftmaxCall { kind, out: out.out(), x: x.tensor.view() });
                let out = outcome(device, &call, &out, || crate::composed::softmax(kind, &x.tensor));
                let want: Vec<f64> = rows(&x.values, &shape).iter().flat_map(|row| softmax_row(kind, row)).collect();
                let size = if case % 4 == 0 { 180.0 } else { 8.0 };
                expect(&format!("{kind:?}"), &out, &want, |i| match kind {
                    SoftmaxKind::Softmax => leeway(dtype) * size * want[i].abs(),
                    SoftmaxKind::LogSoftmax => leeway(dtype) * size,
                });
            }
        }
    }
}

fn logsumexp_row(row: &[f64]) -> f64 {
    let max = row.iter().fold(f64::NEG_INFINITY, |max, &x| if x.is_nan() || x > max { x } else { max });
    if max.is_finite() { max + row.iter().map(|x| (x - max).exp()).sum::<f64>().ln() } else { max }
}

pub(super) fn logsumexp(device: &Device) {
    let mut cases = Cases::new(device, 63);
    for dtype in FLOATS {
        for case in 0..24 {
            let shape = shape(&mut cases);
            if shape.last() == Some(&0) {
                continue;
            }
            let values = if case % 4 == 1 { Values::Special(-3.0, 3.0) } else { Values::Between(-90.0, 90.0) };
            let x = cases.operand(&shape, dtype, values);
            let out = output(&shape.without_axis(shape.rank() - 1), dtype, device);
            let call = Call::Logsumexp(LogsumexpCall { out: out.out(), x: x.tensor.view() });
            let composed = || crate::composed::logsumexp(&x.tensor)?.reshape(out.shape());
            let y = outcome(device, &call, &out, composed);
            let want: Vec<f64> = rows(&x.values, &shape).iter().map(|row| logsumexp_row(row)).collect();
            expect("logsumexp", &y, &want, |i| leeway(dtype) * (2.0 + want[i].abs()));
        }
    }
}

pub(super) fn softmax_grad(device: &Device) {
    let mut cases = Cases::new(device, 61);
    for dtype in FLOATS {
        for _ in 0..20 {
            let shape = shape(&mut cases);
            let x = cases.numbers(shape.elements(), Values::Between(-4.0, 4.0));
            let dy = cases.operand(&shape, dtype, Values::Between(-1.0, 1.0));
            for kind in KINDS {
                let y: Vec<f64> = rows(&x, &shape)
                    .iter()
                    .flat_map(|row| softmax_row(kind, row))
                    .map(|value| rounded(value, dtype))
                    .collect();
                let out = output(&shape, dtype, device);
                let given = tensor_of(&y, &shape, dtype, device);
                let (given, dy_view) = (given.view(), dy.tensor.view());
                if !ran(device, &Call::SoftmaxGrad(SoftmaxGradCall { kind, out: out.out(), y: given, dy: dy_view })) {
                    continue;
                }
                let gradient = |(y, dy): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
                    let dot: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
                    let sum: f64 = dy.iter().sum();
                    let one = |(&y, &dy): (&f64, &f64)| match kind {
                        SoftmaxKind::Softmax => y * (dy - dot),
                        SoftmaxKind::LogSoftmax => dy - y.exp() * sum,
                    };
                    y.iter().zip(dy).map(one).collect()
                };
                let (ys, dys) = (rows(&y, &shape), rows(&dy.values, &shape));
                let want: Vec<f64> = ys.iter().zip(&dys).flat_map(gradient).collect();
                expect(&format!("gradient of {kind:?}"), &out, &want, |_| 8.0 * leeway(dtype));
            }
        }
    }
}

/// Labels of either type, or weights: as an operand and as weights.
fn target(cases: &mut Cases, dtype: DType, rows: usize, classes: usize) -> (Operand, Vec<f64>) {
    let kind = cases.below(3);
    if kind == 2 {
        let weights = cases.rows(&Shape::new(&[rows, classes]).unwrap(), dtype, Values::Between(0.0, 1.0));
        let values = weights.values.clone();
        return (weights, values);
    }
    let dtype = [DType::I64, DType::U8][kind];
    let labels = cases.rows(&Shape::new(&[rows]).unwrap(), dtype, Values::Below(classes as u32));
    let mut weights = vec![0.0; rows * classes];
    for (row, &label) in labels.values.iter().enumerate() {
        weights[row * classes + label as usize] = 1.0;
    }
    (labels, weights)
}

pub(super) fn cross_entropy(device: &Device) {
    let mut cases = Cases::new(device, 62);
    for dtype in [DType::F32, DType::F64] {
        for case in 0..60 {
            let (n, classes) = (1 + cases.size(), 1 + cases.below(40));
            let classes = if case % 10 == 9 { 200 } else { classes };
            let shape = Shape::new(&[n, classes]).unwrap();
            let mut logits = cases.rows(&shape, dtype, Values::Between(-5.0, 5.0));
            let (target, weights) = target(&mut cases, dtype, n, classes);
            if case % 5 == 4 {
                // A class that is ruled out counts for nothing where its weight is 0.
                for (x, &t) in logits.values.iter_mut().zip(&weights) {
                    if t == 0.0 && cases.chance(4) {
                        *x = f64::NEG_INFINITY;
                    }
                }
                logits.tensor = tensor_of(&logits.values, &shape, dtype, device);
            }
            let out = output(&Shape::new(&[n]).unwrap(), dtype, device);
            let (x, t) = (logits.tensor.view(), target.tensor.view());
            let call = Call::CrossEntropy(CrossEntropyCall { out: out.out(), logits: x, target: t });
            let composed = || crate::composed::cross_entropy(&logits.tensor, &target.tensor);
            let out = outcome(device, &call, &out, composed);
            let (xs, ts) = (rows(&logits.values, &shape), rows(&weights, &shape));
            let want: Vec<f64> = (0..n)
                .map(|row| {
                    let log = softmax_row(SoftmaxKind::LogSoftmax, &xs[row]);
                    log.iter().zip(&ts[row]).filter(|&(_, &t)| t != 0.0).map(|(log, t)| -t * log).sum()
                })
                .collect();
            let what = format!("cross_entropy of {} targets", target.tensor.dtype());
            expect(&what, &out, &want, |row| 10.0 * (1.0 + ts[row].iter().sum::<f64>()));

            let dy = cases.operand(&Shape::new(&[n]).unwrap(), dtype, Values::Between(-2.0, 2.0));
            let out = output(&shape, dtype, device);
            let call = CrossEntropyGradCall { out: out.out(), logits: x, target: t, dy: dy.tensor.view() };
            if !ran(device, &Call::CrossEntropyGrad(call)) {
                continue;
            }
            let want: Vec<f64> = (0..n)
                .flat_map(|row| {
                    let mass: f64 = ts[row].iter().sum();
                    let softmax = softmax_row(SoftmaxKind::Softmax, &xs[row]);
                    softmax.into_iter().zip(&ts[row]).map(|(y, t)| dy.values[row] * (y * mass - t)).collect::<Vec<_>>()
                })
                .collect();
            let what = format!("gradient of cross_entropy of {} targets", target.tensor.dtype());
            expect(&what, &out, &want, |i| 8.0 * (1.0 + ts[i / classes].iter().sum::<f64>()));
        }
    }
}
