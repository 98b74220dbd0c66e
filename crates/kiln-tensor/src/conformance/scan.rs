//! Cumulative operations, and sums of distances.

use super::cases::{Cases, FLOATS, Values, close, expect, expect_same, indices, values_of};
use super::composed::same;
use crate::{Arithmetic, DType, Device, ScanOp, Shape, composed};

/// What came before each element along the axis, it included.
fn prefixes(shape: &Shape, values: &[f64], axis: usize) -> Vec<Vec<f64>> {
    let inner: usize = shape[axis + 1..].iter().product();
    indices(shape)
        .enumerate()
        .map(|(flat, index)| (0..=index[axis]).map(|i| values[flat - (index[axis] - i) * inner]).collect())
        .collect()
}

fn naive(op: ScanOp, x: &[f64]) -> f64 {
    match op {
        ScanOp::Sum => x.iter().sum(),
        ScanOp::Prod => x.iter().product(),
        ScanOp::LogSumExp => {
            let high = x
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, |a, b| if b.is_nan() || a.is_nan() { f64::NAN } else { a.max(b) });
            if high.is_infinite() { high } else { high + x.iter().map(|x| (x - high).exp()).sum::<f64>().ln() }
        }
    }
}

pub(super) fn scan(device: &Device) {
    let mut cases = Cases::new(device, 95);
    for dtype in FLOATS {
        for case in 0..8 {
            let rank = 1 + cases.below(3);
            // An axis of several chunks among the others.
            let shape = if case == 0 { Shape::new(&[2, 300, 2]).unwrap() } else { cases.shape_of_rank(rank) };
            let axis = if case == 0 { 1 } else { cases.below(rank) };
            let values = if case % 3 == 2 { Values::Special(-1.0, 1.0) } else { Values::Between(-1.0, 1.0) };
            let x = cases.operand(&shape, dtype, values);
            let before = prefixes(&shape, &x.values, axis);
            for op in [ScanOp::Sum, ScanOp::Prod, ScanOp::LogSumExp] {
                let out = x.tensor.scan(op, axis).unwrap();
                for ((got, before), at) in values_of(&out).into_iter().zip(&before).zip(0..) {
                    let want = naive(op, before);
                    let scale = before.iter().map(|x| x.abs()).filter(|x| x.is_finite()).sum::<f64>() + 1.0;
                    assert!(close(dtype, got, want, scale), "{op:?} {dtype} {shape} [{at}]: {got}, expected {want}");
                }
            }
        }
    }
    let shape = Shape::new(&[2, 600]).unwrap();
    let x = cases.operand(&shape, DType::I64, Values::Below(9));
    let wanted: Vec<f64> = prefixes(&shape, &x.values, 1).iter().map(|before| before.iter().sum()).collect();
    expect_same("cumsum of i64", &x.tensor.cumsum(1).unwrap(), &wanted);
}

pub(super) fn extrema(device: &Device) {
    let mut cases = Cases::new(device, 96);
    for dtype in DType::ALL {
        for _ in 0..8 {
            let rank = 1 + cases.below(3);
            let (shape, axis) = (cases.shape_of_rank(rank), cases.below(rank));
            let x = cases.operand(&shape, dtype, Values::Special(-4.0, 4.0));
            for smallest in [false, true] {
                let (values, at) = x.tensor.scanned_extrema(axis, smallest).unwrap();
                let best = |before: &Vec<f64>| {
                    let mut best = 0;
                    for (i, &x) in before.iter().enumerate() {
                        let reaches = if smallest { x <= before[best] } else { x >= before[best] };
                        if x.is_nan() || !before[best].is_nan() && reaches {
                            best = i;
                        }
                    }
                    best
                };
                let before = prefixes(&shape, &x.values, axis);
                let wanted: Vec<f64> = before.iter().map(|before| before[best(before)]).collect();
                expect_same("cumulative extrema", &values, &wanted);
                expect_same("their places", &at, &before.iter().map(|b| best(b) as f64).collect::<Vec<_>>());
            }
        }
    }
}

pub(super) fn linear(device: &Device) {
    let mut cases = Cases::new(device, 97);
    for dtype in FLOATS {
        for _ in 0..10 {
            let rank = 1 + cases.below(3);
            let (shape, axis) = (cases.shape_of_rank(rank), cases.below(rank));
            let a = cases.operand(&shape, dtype, Values::Between(-0.9, 0.9));
            let b = cases.operand(&shape, dtype, Values::Between(-1.0, 1.0));
            let out = a.tensor.linear_scan(&b.tensor, axis).unwrap();
            let pairs = prefixes(&shape, &a.values, axis).into_iter().zip(prefixes(&shape, &b.values, axis));
            let wanted: Vec<f64> = pairs.map(|(a, b)| a.iter().zip(&b).fold(0.0, |y, (a, b)| a * y + b)).collect();
            expect("linear recurrence", &out, &wanted, |_| 10.0);
        }
    }
}

pub(super) fn distances(device: &Device) {
    let mut cases = Cases::new(device, 98);
    for dtype in [DType::F32, DType::F64] {
        for _ in 0..12 {
            let rank = 1 + cases.below(3);
            let shape = cases.shape_of_rank(rank);
            let axes: Vec<usize> = (0..rank).filter(|_| cases.chance(2)).collect();
            let x = cases.operand(&shape, dtype, Values::Between(-2.0, 2.0)).tensor;
            let center = x.mean_keepdim(axes.as_slice()).unwrap();
            let size = 1.0 + shape.elements() as f64;
            for (centered, center) in [(false, None), (true, Some(&center))] {
                let want = composed::distances(&x, center, &axes, true).unwrap();
                same("sums of squares", size, &x.squares(&axes, centered).unwrap(), &want);
            }
        }
    }
}
