//! Reductions over every set of axes.

use super::cases::{Cases, FLOATS, Operand, Values, close, expect, expect_same, indices, output, tensor_of, values_of};
use crate::{ArgReduceOp, DType, Device, ReduceOp, Shape};

const OPS: [ReduceOp; 5] = [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max, ReduceOp::Min, ReduceOp::Prod];

/// The elements that each output is made of.
pub(super) fn groups(shape: &Shape, values: &[f64], axes: &[usize]) -> (Shape, Vec<Vec<f64>>) {
    let kept: Vec<usize> = (0..shape.rank()).filter(|axis| !axes.contains(axis)).collect();
    let out = Shape::new(&kept.iter().map(|&axis| shape[axis]).collect::<Vec<_>>()).unwrap();
    let mut groups = vec![Vec::new(); out.elements()];
    for (index, &value) in indices(shape).zip(values) {
        let place = kept.iter().fold(0, |place, &axis| place * shape[axis] + index[axis]);
        groups[place].push(value);
    }
    (out, groups)
}

fn naive(op: ReduceOp, group: &[f64]) -> f64 {
    let nan = group.iter().any(|v| v.is_nan());
    match op {
        ReduceOp::Sum => group.iter().sum(),
        ReduceOp::Mean => group.iter().sum::<f64>() / group.len() as f64,
        _ if nan => f64::NAN,
        ReduceOp::Max => group.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ReduceOp::Min => group.iter().copied().fold(f64::INFINITY, f64::min),
        ReduceOp::Prod => group.iter().product(),
    }
}

fn check(device: &Device, x: &Operand, op: ReduceOp, axes: &[usize]) {
    let dtype = x.tensor.dtype();
    let (shape, groups) = groups(x.tensor.shape(), &x.values, axes);
    if groups.iter().any(Vec::is_empty) && matches!(op, ReduceOp::Max | ReduceOp::Min) {
        return; // refused above the trait
    }
    let out = output(&shape, dtype, device);
    device.reduce(op, out.out(), x.tensor.view(), axes).unwrap();
    let want: Vec<f64> = groups.iter().map(|group| naive(op, group)).collect();
    let what = format!("{op:?} over {axes:?} of {} {:?}", x.tensor.shape(), x.tensor.layout().strides());
    match op {
        ReduceOp::Max | ReduceOp::Min => expect_same(&what, &out, &want),
        _ => expect(&what, &out, &want, |i| {
            let n = groups[i].len() as f64;
            match op {
                ReduceOp::Sum => groups[i].iter().map(|v| v.abs()).sum::<f64>(),
                ReduceOp::Mean => groups[i].iter().map(|v| v.abs()).sum::<f64>() / n,
                _ => want[i].abs() * n.sqrt(),
            }
        }),
    }
}

pub(super) fn reduce(device: &Device) {
    let mut cases = Cases::new(device, 20);
    for dtype in FLOATS {
        for _ in 0..12 {
            let shape = cases.shape();
            // Products of up to a thousand numbers about 1 stay in f16's range.
            let x = cases.operand(&shape, dtype, Values::Between(-2.0, 2.0));
            let y = cases.operand(&shape, dtype, Values::Between(0.97, 1.03));
            for set in 0..1 << shape.rank() {
                let axes: Vec<usize> = (0..shape.rank()).filter(|axis| set >> axis & 1 == 1).collect();
                for op in OPS {
                    check(device, if op == ReduceOp::Prod { &y } else { &x }, op, &axes);
                }
            }
        }
        // Long ones: beyond a chunk of the tree, and shared out among threads.
        for (dims, axes) in [
            (&[4096][..], &[0][..]),
            (&[4097], &[0]),
            (&[70_003], &[0]),
            (&[3, 9000], &[1]),
            (&[9000, 3], &[0]),
            (&[5000, 70], &[0]),
            (&[300, 300], &[1]),
            (&[20, 30, 40], &[0, 2]),
        ] {
            let shape = Shape::new(dims).unwrap();
            let x = cases.operand(&shape, dtype, Values::Between(-1.0, 1.0));
            for op in [ReduceOp::Sum, ReduceOp::Mean, ReduceOp::Max] {
                check(device, &x, op, axes);
            }
        }
    }
}

pub(super) fn special(device: &Device) {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for dtype in FLOATS {
        for row in [
            [1.0, nan, 2.0],
            [nan, 1.0, inf],
            [inf, 1.0, -inf],
            [-inf, -inf, -1.0],
            [inf, inf, inf],
            [0.0, inf, 1.0],
            [-0.0, -0.0, -0.0],
        ] {
            for repeat in [1, 7, 40] {
                let values = row.repeat(repeat);
                for shape in [Shape::new(&[1, values.len()]).unwrap(), Shape::new(&[values.len(), 1]).unwrap()] {
                    let x = tensor_of(&values, &shape, dtype, device);
                    let axes = [usize::from(shape[0] == 1)];
                    for op in OPS {
                        let out = output(&Shape::new(&[1]).unwrap(), dtype, device);
                        device.reduce(op, out.out(), x.view(), &axes).unwrap();
                        let got = values_of(&out)[0];
                        // 1 · … · 2 · … overflows only where the naive product does: none of the rows has finite growth.
                        let want = naive(op, &values);
                        assert!(close(dtype, got, want, 0.0), "{op:?} {dtype} of {row:?}: {got}, expected {want}");
                    }
                }
            }
        }
    }
}

pub(super) fn arg_reduce(device: &Device) {
    let mut cases = Cases::new(device, 22);
    for dtype in DType::ALL {
        for case in 0..24 {
            let rank = 1 + cases.below(4);
            let shape = cases.shape_of_rank(rank);
            let axis = cases.below(rank);
            if shape[axis] == 0 {
                continue; // refused above the trait
            }
            let values = if case % 2 == 0 { Values::Below(4) } else { Values::Special(-2.0, 2.0) };
            let x = cases.operand(&shape, dtype, values);
            let (out_shape, groups) = groups(&shape, &x.values, &[axis]);
            for op in [ArgReduceOp::Argmax, ArgReduceOp::Argmin] {
                let position = |group: &Vec<f64>| {
                    if let Some(at) = group.iter().position(|v| v.is_nan()) {
                        return at as f64;
                    }
                    let best = naive(if op == ArgReduceOp::Argmax { ReduceOp::Max } else { ReduceOp::Min }, group);
                    group.iter().position(|&v| v == best).unwrap() as f64
                };
                let out = output(&out_shape, DType::I64, device);
                device.arg_reduce(op, out.out(), x.tensor.view(), axis).unwrap();
                expect_same(&format!("{op:?} of {dtype}"), &out, &groups.iter().map(position).collect::<Vec<_>>());
            }
        }
    }
}
