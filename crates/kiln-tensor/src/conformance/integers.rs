//! Operations and reductions of integers against the same in i128, wrapped.

use super::cases::{Cases, INTEGERS, Operand, Values, expect_same, output, tensor_of};
use super::reduce::groups;
use crate::{DType, Device, ReduceOp, Shape};
use kiln_math::IntegerOp;

/// What the dtype keeps of a number: its lowest bits.
fn wrapped(value: i128, dtype: DType) -> f64 {
    match dtype {
        DType::I64 => value as i64 as f64,
        DType::I32 => f64::from(value as i32),
        DType::I8 => f64::from(value as i8),
        _ => f64::from(value as u8),
    }
}

/// f(a, b) in i128, in which nothing but a power or a shift overflows.
fn naive(op: IntegerOp, a: i128, b: i128) -> i128 {
    match op {
        IntegerOp::Add => a + b,
        IntegerOp::Sub => a - b,
        IntegerOp::Mul => a * b,
        IntegerOp::Maximum => a.max(b),
        IntegerOp::Minimum => a.min(b),
        IntegerOp::Pow => (0..b).fold(1i128, |power, _| (power * a) % (1 << 64)),
        IntegerOp::FloorDiv if b > 0 => a.div_euclid(b),
        IntegerOp::FloorDiv => (-a).div_euclid(-b),
        IntegerOp::Remainder => a - b * naive(IntegerOp::FloorDiv, a, b),
        IntegerOp::Fmod => a % b,
        IntegerOp::BitwiseAnd => a & b,
        IntegerOp::BitwiseOr => a | b,
        IntegerOp::BitwiseXor => a ^ b,
        IntegerOp::ShiftLeft => {
            if b >= 64 {
                0
            } else {
                a << b
            }
        }
        IntegerOp::ShiftRight => a >> b.min(100),
    }
}

/// Operands of all sizes, at the ends of the dtype too; in f64 none of them is rounded.
fn operands(cases: &mut Cases, op: IntegerOp, dtype: DType, shape: &Shape) -> [Operand; 2] {
    let (low, high) = dtype.range();
    let wide = Values::Between(low.max(-(2f64.powi(53))), high.min(2f64.powi(53)));
    let few = Values::Between(low.max(-5.0), 6.0);
    let values = if cases.chance(2) { wide } else { few };
    let a = cases.operand(shape, dtype, values);
    let b = match op {
        // What the operation refuses is the caller's to see.
        _ if op.refuses(-1i64) => cases.operand(shape, dtype, Values::Below(70)),
        _ if op.refuses(0i64) => {
            let other = cases.operand(shape, dtype, values);
            let nonzero: Vec<f64> = other.values.iter().map(|&v| if v == 0.0 { 3.0 } else { v }).collect();
            let tensor = tensor_of(&nonzero, shape, dtype, &cases.device);
            Operand { memory: tensor.clone(), tensor, values: nonzero }
        }
        _ => cases.operand(shape, dtype, values),
    };
    [a, b]
}

pub(super) fn binary(device: &Device) {
    let mut cases = Cases::new(device, 7);
    for &op in IntegerOp::ALL {
        for dtype in INTEGERS {
            for _ in 0..10 {
                let shape = cases.shape();
                let [a, b] = operands(&mut cases, op, dtype, &shape);
                let out = output(&shape, dtype, device);
                device.integers(op, out.out(), a.tensor.view(), b.tensor.view()).unwrap();
                let pairs = a.values.iter().zip(&b.values);
                let want: Vec<f64> = pairs.map(|(&a, &b)| wrapped(naive(op, a as i128, b as i128), dtype)).collect();
                expect_same(op.name(), &out, &want);
            }
        }
        if op.of_bools() {
            let shape = cases.shape();
            let [a, b] = [0; 2].map(|_| cases.operand(&shape, DType::Bool, Values::Below(2)));
            let out = output(&shape, DType::Bool, device);
            device.integers(op, out.out(), a.tensor.view(), b.tensor.view()).unwrap();
            let pairs = a.values.iter().zip(&b.values);
            let want: Vec<f64> = pairs.map(|(&a, &b)| naive(op, a as i128, b as i128) as f64).collect();
            expect_same(op.name(), &out, &want);
        }
    }
}

/// The smallest of a type has no positive counterpart: what overflows wraps.
pub(super) fn ends(device: &Device) {
    let shape = Shape::new(&[4]).unwrap();
    for dtype in [DType::I32, DType::I8] {
        let (low, high) = dtype.range();
        let a = tensor_of(&[low, low, high, high], &shape, dtype, device);
        let b = tensor_of(&[-1.0, 1.0, 1.0, high], &shape, dtype, device);
        let ops = [
            (IntegerOp::FloorDiv, [low, low, high, 1.0]),
            (IntegerOp::Remainder, [0.0, 0.0, 0.0, 0.0]),
            (IntegerOp::Mul, [low, low, high, 1.0]),
            (IntegerOp::Add, [high, low + 1.0, low, -2.0]),
            (IntegerOp::Sub, [low + 1.0, high, high - 1.0, 0.0]),
        ];
        for (op, want) in ops {
            let out = output(&shape, dtype, device);
            device.integers(op, out.out(), a.view(), b.view()).unwrap();
            expect_same(op.name(), &out, &want);
        }
    }
    let (a, b) = (tensor_of(&[0.0, 1.0, 2.0, 255.0], &shape, DType::U8, device), [1.0, 2.0, 1.0, 1.0]);
    let out = output(&shape, DType::U8, device);
    device.integers(IntegerOp::Sub, out.out(), a.view(), tensor_of(&b, &shape, DType::U8, device).view()).unwrap();
    expect_same("sub of u8", &out, &[255.0, 255.0, 1.0, 254.0]);
}

pub(super) fn reduce(device: &Device) {
    let mut cases = Cases::new(device, 21);
    for dtype in INTEGERS.into_iter().chain([DType::Bool]) {
        for case in 0..12 {
            let shape = cases.shape();
            let (low, high) = dtype.range();
            let few = if case % 2 == 0 { Values::Between(low.max(-2.0), 2.0) } else { Values::Below(2) };
            let wide = Values::Between(low.max(-1e9), high.min(1e9));
            for op in [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min] {
                let x = cases.operand(&shape, dtype, if op == ReduceOp::Prod { few } else { wide });
                for set in 0..1 << shape.rank() {
                    let axes: Vec<usize> = (0..shape.rank()).filter(|axis| set >> axis & 1 == 1).collect();
                    check(device, &x, op, &axes);
                }
            }
        }
    }
}

fn check(device: &Device, x: &Operand, op: ReduceOp, axes: &[usize]) {
    let dtype = x.tensor.dtype();
    let (shape, groups) = groups(x.tensor.shape(), &x.values, axes);
    let extremum = matches!(op, ReduceOp::Max | ReduceOp::Min);
    if extremum && groups.iter().any(Vec::is_empty) {
        return; // refused above the trait
    }
    let out = output(&shape, if extremum { dtype } else { DType::I64 }, device);
    device.reduce(op, out.out(), x.tensor.view(), axes).unwrap();
    let each = |group: &Vec<f64>| {
        let integers = || group.iter().map(|&v| v as i64);
        let value = match op {
            ReduceOp::Max => integers().max(),
            ReduceOp::Min => integers().min(),
            ReduceOp::Prod => Some(integers().fold(1, i64::wrapping_mul)),
            _ => Some(integers().sum()),
        };
        value.unwrap() as f64
    };
    let want: Vec<f64> = groups.iter().map(each).collect();
    expect_same(&format!("{op:?} of {dtype} over {axes:?}"), &out, &want);
}
