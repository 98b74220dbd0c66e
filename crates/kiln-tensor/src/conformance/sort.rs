//! Sorting, order statistics and binary search.

use super::cases::{Cases, Operand, Values, expect_same, indices, tensor_of};
use crate::{DType, Device, Order, Shape};

/// The lines of an operand along an axis, in row-major order of the other axes.
fn lines(shape: &Shape, values: &[f64], axis: usize) -> Vec<Vec<f64>> {
    let rest = shape.without_axis(axis);
    let mut lines = vec![Vec::new(); rest.elements()];
    for (index, &value) in indices(shape).zip(values) {
        let others = (0..shape.rank()).filter(|&at| at != axis);
        let line = others.fold(0, |place, at| place * shape[at] + index[at]);
        lines[line].push(value);
    }
    lines
}

/// What `f` makes of each line, of `size` elements, laid out as the operand is.
fn along(shape: &Shape, values: &[f64], axis: usize, size: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let lines: Vec<Vec<f64>> = lines(shape, values, axis).iter().map(|line| f(line)).collect();
    let out = shape.with_size(axis, size).unwrap();
    let place = |index: &[usize]| (0..shape.rank()).filter(|&at| at != axis).fold(0, |p, at| p * shape[at] + index[at]);
    indices(&out).map(|index| lines[place(&index)][index[axis]]).collect()
}

/// Positions that sort a line: stable, NaN the largest.
fn positions(line: &[f64], order: Order) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..line.len()).collect();
    let before = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(a.is_nan().cmp(&b.is_nan()));
    positions.sort_by(|&a, &b| match order {
        Order::Ascending => before(line[a], line[b]),
        Order::Descending => before(line[b], line[a]),
    });
    positions
}

fn check(shape: &Shape, x: &Operand, axis: usize, k: usize) {
    let (tensor, values) = (&x.tensor, &x.values);
    let (dtype, size) = (tensor.dtype(), shape[axis]);
    for order in [Order::Ascending, Order::Descending] {
        let what = format!("{order:?} of {dtype} {shape} along {axis}");
        let at = |line: &[f64]| positions(line, order).into_iter().map(|at| at as f64).collect::<Vec<_>>();
        let sorted = |line: &[f64]| positions(line, order).into_iter().map(|at| line[at]).collect::<Vec<_>>();
        let (found, found_at) = tensor.sort_with_positions(axis, order).unwrap();
        expect_same(&what, &found.contiguous().unwrap(), &along(shape, values, axis, size, sorted));
        expect_same(&what, &found_at.contiguous().unwrap(), &along(shape, values, axis, size, at));
        let only = tensor.sort(axis, order).unwrap().contiguous().unwrap();
        expect_same(&what, &only, &along(shape, values, axis, size, sorted));
        let (top, top_at) = tensor.topk(k, axis, order).unwrap();
        expect_same(
            &what,
            &top.contiguous().unwrap(),
            &along(shape, values, axis, k, |line| sorted(line)[..k].to_vec()),
        );
        expect_same(
            &what,
            &top_at.contiguous().unwrap(),
            &along(shape, values, axis, k, |line| at(line)[..k].to_vec()),
        );
    }
    if k > 0 {
        let (value, at) = tensor.kthvalue(k, axis).unwrap();
        let wanted = |line: &[f64]| line[positions(line, Order::Ascending)[k - 1]];
        let first = |line: &[f64]| {
            let wanted = wanted(line);
            line.iter().position(|&x| x == wanted || x.is_nan() && wanted.is_nan()).unwrap() as f64
        };
        let what = format!("kthvalue {k} of {dtype} {shape} along {axis}");
        expect_same(&what, &value.contiguous().unwrap(), &along(shape, values, axis, 1, |line| vec![wanted(line)]));
        expect_same(&what, &at.contiguous().unwrap(), &along(shape, values, axis, 1, |line| vec![first(line)]));
    }
}

pub(super) fn sort(device: &Device) {
    let mut cases = Cases::new(device, 90);
    for dtype in DType::ALL {
        for case in 0..8 {
            let rank = 1 + cases.below(3);
            let shape = cases.shape_of_rank(rank);
            let (axis, values) =
                (cases.below(rank), if case % 2 == 0 { Values::Below(4) } else { Values::Special(-100.0, 100.0) });
            let x = cases.operand(&shape, dtype, values);
            let k = cases.below(shape[axis] + 1);
            check(&shape, &x, axis, k);
        }
        // Rows of several chunks.
        let shape = Shape::new(&[2, 700]).unwrap();
        let x = cases.operand(&shape, dtype, Values::Special(-100.0, 100.0));
        check(&shape, &x, 1, 300);
    }
}

pub(super) fn search(device: &Device) {
    let mut cases = Cases::new(device, 91);
    for dtype in DType::ALL {
        for case in 0..12 {
            let (rows, width, count) = (1 + cases.below(3), cases.size(), cases.size());
            let mut sorted: Vec<Vec<f64>> = Vec::new();
            for _ in 0..rows {
                let numbers = cases.rows(&Shape::new(&[width]).unwrap(), dtype, Values::Below(9)).values;
                sorted.push(positions(&numbers, Order::Ascending).into_iter().map(|at| numbers[at]).collect());
            }
            let shared = case % 2 == 0;
            let shape = if shared { Shape::new(&[width]) } else { Shape::new(&[rows, width]) }.unwrap();
            let values = if shared { sorted[0].clone() } else { sorted.concat() };
            let row = tensor_of(&values, &shape, dtype, device);
            let x = cases.operand(&Shape::new(&[rows, count]).unwrap(), dtype, Values::Special(-1.0, 10.0));
            for right in [false, true] {
                let found = row.searchsorted(&x.tensor, right).unwrap();
                let wanted = x.values.iter().enumerate().map(|(i, &x)| {
                    let row = &sorted[if shared { 0 } else { i / count }];
                    row.iter().filter(|&&y| y < x || x.is_nan() || right && y == x).count() as f64
                });
                expect_same(&format!("search of {dtype}"), &found, &wanted.collect::<Vec<_>>());
            }
        }
    }
}
