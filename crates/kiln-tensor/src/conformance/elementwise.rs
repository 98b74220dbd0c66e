//! Fills, copies, maps, comparisons, selection.

use super::cases::{Cases, FLOATS, Values, expect, expect_same, offsets, output, rounded, tensor_of, values_of};
use crate::{CompareOp, DType, Device, Shape, UnaryCall, View};
use kiln_math::{BinaryOp, UnaryOp};

pub(super) fn fill(device: &Device) {
    let mut cases = Cases::new(device, 1);
    for dtype in DType::ALL {
        for value in [0.0, 1.0, -2.5, 3.75, 1e10, f64::INFINITY, f64::NAN] {
            let shape = cases.shape();
            let out = output(&shape, dtype, device);
            device.fill(out.out(), value).unwrap();
            expect_same("fill", &out, &vec![rounded(value, dtype); shape.elements()]);
        }
    }
}

/// Values that make conversions round, overflow and saturate.
fn any_values(case: usize) -> Values {
    match case % 4 {
        0 => Values::Special(-3.0, 3.0),
        1 => Values::Special(-1e6, 1e6),
        2 => Values::Special(-1e-7, 1e-7),
        _ => Values::Special(0.0, 300.0),
    }
}

pub(super) fn copy(device: &Device) {
    let mut cases = Cases::new(device, 2);
    for from in DType::ALL {
        for to in DType::ALL {
            for case in 0..8 {
                let shape = cases.shape();
                let x = cases.operand(&shape, from, any_values(case));
                let out = output(&shape, to, device);
                device.copy(out.view(), x.tensor.view()).unwrap();
                let want: Vec<f64> = x.values.iter().map(|&v| rounded(v, to)).collect();
                expect_same(&format!("copy from {from}"), &out, &want);
            }
        }
    }
}

pub(super) fn copy_into_slice(device: &Device) {
    let mut cases = Cases::new(device, 3);
    for from in DType::ALL {
        for to in DType::ALL {
            for case in 0..6 {
                let shape = cases.shape();
                let repeats = false;
                let target = cases.view(&shape, to, Values::Below(2), repeats);
                let mut want = values_of(&target.memory);
                let x = cases.operand(&shape, from, any_values(case));
                device.copy(target.tensor.view(), x.tensor.view()).unwrap();
                for (&at, &value) in offsets(target.tensor.layout()).iter().zip(&x.values) {
                    want[at] = rounded(value, to);
                }
                expect_same(&format!("copy into a slice from {from}"), &target.memory, &want);
            }
        }
    }
}

fn params(op: UnaryOp) -> [f64; 2] {
    match op.params() {
        0 => [0.0; 2],
        1 => [1.25, 0.0],
        _ => [-0.75, 0.875],
    }
}

pub(super) fn unary(device: &Device) {
    let mut cases = Cases::new(device, 4);
    for &op in UnaryOp::ALL {
        let p = params(op);
        for dtype in FLOATS {
            for _ in 0..8 {
                let shape = cases.shape();
                let (low, high) = op.domain();
                let x = cases.operand(&shape, dtype, Values::Special(low, high));
                let out = output(&shape, dtype, device);
                device.unary(UnaryCall { op, params: p }, out.out(), x.tensor.view()).unwrap();
                let want: Vec<f64> = x.values.iter().map(|&x| op.f(x, p)).collect();
                // Errors in x count as its slope makes them.
                expect(op.name(), &out, &want, |i| 1.0 + (op.df(x.values[i], want[i], p) * x.values[i]).abs());
            }
        }
    }
}

pub(super) fn unary_grad(device: &Device) {
    let mut cases = Cases::new(device, 5);
    for &op in UnaryOp::ALL {
        let p = params(op);
        for dtype in FLOATS {
            for _ in 0..6 {
                let shape = cases.shape();
                let (low, high) = op.domain();
                let x = cases.operand(&shape, dtype, Values::Between(low, high));
                let y_values: Vec<f64> = x.values.iter().map(|&x| rounded(op.f(x, p), dtype)).collect();
                let y = tensor_of(&y_values, &shape, dtype, device);
                let dy = cases.operand(&shape, dtype, Values::Special(-2.0, 2.0));
                let out = output(&shape, dtype, device);
                let call = UnaryCall { op, params: p };
                device.unary_grad(call, out.out(), x.tensor.view(), y.view(), dy.tensor.view()).unwrap();
                let want: Vec<f64> =
                    (0..y_values.len()).map(|i| dy.values[i] * op.df(x.values[i], y_values[i], p)).collect();
                expect(&format!("gradient of {}", op.name()), &out, &want, |i| 4.0 * dy.values[i].abs());
            }
        }
    }
}

pub(super) fn binary(device: &Device) {
    let mut cases = Cases::new(device, 6);
    for &op in BinaryOp::ALL {
        for dtype in FLOATS {
            for _ in 0..12 {
                let shape = cases.shape();
                let ((a_low, a_high), (b_low, b_high)) = op.domains();
                let a = cases.operand(&shape, dtype, Values::Special(a_low, a_high));
                let b = cases.operand(&shape, dtype, Values::Special(b_low, b_high));
                let out = output(&shape, dtype, device);
                device.binary(op, out.out(), a.tensor.view(), b.tensor.view()).unwrap();
                let want: Vec<f64> = a.values.iter().zip(&b.values).map(|(&a, &b)| op.f(a, b)).collect();
                expect(op.name(), &out, &want, |i| 8.0 * want[i].abs());
            }
        }
    }
}

pub(super) fn compare(device: &Device) {
    let mut cases = Cases::new(device, 8);
    for dtype in DType::ALL {
        for case in 0..30 {
            let shape = cases.shape();
            // Few distinct values, so that many are equal.
            let values = if case % 2 == 0 { Values::Below(3) } else { Values::Special(-1.0, 1.0) };
            let (a, b) = (cases.operand(&shape, dtype, values), cases.operand(&shape, dtype, values));
            for op in [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge] {
                let out = output(&shape, DType::Bool, device);
                device.compare(op, out.out(), a.tensor.view(), b.tensor.view()).unwrap();
                let holds = |(a, b): (&f64, &f64)| match op {
                    CompareOp::Eq => a == b,
                    CompareOp::Ne => a != b,
                    CompareOp::Lt => a < b,
                    CompareOp::Le => a <= b,
                    CompareOp::Gt => a > b,
                    CompareOp::Ge => a >= b,
                };
                let want: Vec<f64> =
                    a.values.iter().zip(&b.values).map(|pair| f64::from(u8::from(holds(pair)))).collect();
                expect_same(&format!("{op:?} of {dtype}"), &out, &want);
            }
        }
    }
}

pub(super) fn select(device: &Device) {
    let mut cases = Cases::new(device, 9);
    for dtype in DType::ALL {
        for _ in 0..20 {
            let shape = cases.shape();
            let mask = cases.operand(&shape, DType::Bool, Values::Below(2));
            let values = Values::Special(-3.0, 3.0);
            let (a, b) = (cases.operand(&shape, dtype, values), cases.operand(&shape, dtype, values));
            let out = output(&shape, dtype, device);
            device.select(out.out(), mask.tensor.view(), a.tensor.view(), b.tensor.view()).unwrap();
            let want: Vec<f64> =
                (0..mask.values.len()).map(|i| if mask.values[i] != 0.0 { a.values[i] } else { b.values[i] }).collect();
            expect_same("select", &out, &want);
        }
    }
}

/// Outputs that are exactly one of the operands, in sizes on both sides of where work is shared out.
pub(super) fn in_place(device: &Device) {
    let mut cases = Cases::new(device, 10);
    let backend = device;
    for dtype in FLOATS {
        for size in [0, 1, 15, 1000, 70_001] {
            let shape = Shape::new(&[size]).unwrap();
            let values = Values::Between(-3.0, 3.0);
            let x = cases.operand(&shape, dtype, values);
            let run = |op: &str, f: &dyn Fn(&crate::Tensor), want: &dyn Fn(f64, f64) -> f64, y: &[f64]| {
                let out = tensor_of(y, &shape, dtype, device);
                f(&out);
                let want: Vec<f64> = y.iter().zip(&x.values).map(|(&y, &x)| want(y, x)).collect();
                expect(op, &out, &want, |_| 1.0);
            };
            let y = cases.numbers(size, values).into_iter().map(|v| rounded(v, dtype)).collect::<Vec<_>>();
            let x_view: View<'_> = x.tensor.view();
            run(
                "tanh in place",
                &|y| backend.unary(UnaryOp::Tanh.into(), y.out(), y.view()).unwrap(),
                &|y, _| y.tanh(),
                &y,
            );
            run(
                "y + x in place",
                &|y| backend.binary(BinaryOp::Add, y.out(), y.view(), x_view).unwrap(),
                &|y, x| y + x,
                &y,
            );
            run(
                "x − y in place",
                &|y| backend.binary(BinaryOp::Sub, y.out(), x_view, y.view()).unwrap(),
                &|y, x| x - y,
                &y,
            );
            run(
                "y · y in place",
                &|y| backend.binary(BinaryOp::Mul, y.out(), y.view(), y.view()).unwrap(),
                &|y, _| y * y,
                &y,
            );
            let grad = UnaryCall { op: UnaryOp::Square, params: [0.0; 2] };
            run(
                "gradient in place",
                &|y| backend.unary_grad(grad, y.out(), x_view, x_view, y.view()).unwrap(),
                &|y, x| y * 2.0 * x,
                &y,
            );
            let mask = cases.operand(&shape, DType::Bool, Values::Below(2));
            let out = tensor_of(&y, &shape, dtype, device);
            backend.select(out.out(), mask.tensor.view(), out.view(), x_view).unwrap();
            let want: Vec<f64> = (0..size).map(|i| if mask.values[i] != 0.0 { y[i] } else { x.values[i] }).collect();
            expect_same("select in place of a", &out, &want);
            let out = tensor_of(&y, &shape, dtype, device);
            backend.select(out.out(), mask.tensor.view(), x_view, out.view()).unwrap();
            let want: Vec<f64> = (0..size).map(|i| if mask.values[i] != 0.0 { x.values[i] } else { y[i] }).collect();
            expect_same("select in place of b", &out, &want);
        }
    }
}
