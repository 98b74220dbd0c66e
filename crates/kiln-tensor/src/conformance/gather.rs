//! Gathering by index, and its adjoint.

use super::cases::{Cases, INTEGERS, Operand, Values, expect, expect_same, indices, output, tensor_of};
use crate::{DType, Device, ScatterOp, Shape, Tensor};

/// A case: an array's shape, an axis of it, and an index of the shape `picked`.
struct Case {
    shape: Shape,
    axis: usize,
    picked: Shape,
    index: Tensor,
    values: Vec<f64>,
}

impl Case {
    /// A shape, an axis of it that is not empty, and indices into that: whole rows, or one for each element.
    fn draw(cases: &mut Cases) -> Self {
        loop {
            let rank = 1 + cases.below(3);
            let shape = cases.shape_of_rank(rank);
            let axis = cases.below(rank);
            if shape[axis] > 0 {
                let (count, rows) = (cases.size(), cases.below(2) == 0);
                return Case::of(cases, shape, axis, count, rows);
            }
        }
    }

    fn of(cases: &mut Cases, shape: Shape, axis: usize, count: usize, rows: bool) -> Self {
        let picked = shape.with_size(axis, count).unwrap();
        let below = Values::Below(shape[axis] as u32);
        if !rows {
            let Operand { tensor: index, values, .. } = cases.rows(&picked, DType::I64, below);
            return Case { shape, axis, picked, index, values };
        }
        // One axis at any stride, repeated along the others.
        let mut one = vec![1; shape.rank()];
        one[axis] = count;
        let Operand { tensor, values: own, .. } = cases.operand(&Shape::new(&[count]).unwrap(), DType::I64, below);
        let mut layout = *tensor.layout();
        for _ in 0..axis {
            layout = layout.unsqueeze(0).unwrap();
        }
        for rank in axis + 1..shape.rank() {
            layout = layout.unsqueeze(rank).unwrap();
        }
        let index = tensor.with_layout(layout.broadcast_to(&picked).unwrap());
        let values = indices(&picked).map(|at| own[at[axis]]).collect();
        Case { shape, axis, picked, index, values }
    }

    /// The place in the array of each element of the index.
    fn places(&self) -> Vec<usize> {
        let place = |(at, index): (Vec<usize>, &f64)| {
            let look = |i: usize| if i == self.axis { *index as usize } else { at[i] };
            (0..self.shape.rank()).fold(0, |place, i| place * self.shape[i] + look(i))
        };
        indices(&self.picked).zip(&self.values).map(place).collect()
    }

    fn name(&self, operation: &str) -> String {
        format!("{operation} along {} of {} at {}", self.axis, self.shape, self.picked)
    }
}

fn check_gather(cases: &mut Cases, case: &Case, dtype: DType) {
    let x = cases.rows(&case.shape, dtype, Values::Special(-100.0, 100.0));
    let out = output(&case.picked, dtype, &cases.device);
    cases.device.gather(out.out(), x.tensor.view(), case.index.view(), case.axis).unwrap();
    let want: Vec<f64> = case.places().into_iter().map(|place| x.values[place]).collect();
    expect_same(&case.name("gather"), &out, &want);
}

pub(super) fn gather(device: &Device) {
    let mut cases = Cases::new(device, 40);
    for dtype in DType::ALL {
        for _ in 0..30 {
            let case = Case::draw(&mut cases);
            check_gather(&mut cases, &case, dtype);
        }
    }
    // Enough to be shared out.
    for (dims, axis, count, rows) in LARGE {
        let case = Case::of(&mut cases, Shape::new(dims).unwrap(), axis, count, rows);
        check_gather(&mut cases, &case, DType::F32);
    }
}

/// Shapes that are shared out among threads, or blocks.
const LARGE: [(&[usize], usize, usize, bool); 4] =
    [(&[100, 64], 0, 600, true), (&[100, 64], 0, 600, false), (&[70, 100], 1, 500, false), (&[3000], 0, 40_000, false)];

/// What an integer becomes that its type may not hold.
fn wrapped(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::I64 => value as i128 as i64 as f64,
        DType::I32 => f64::from(value as i64 as i32),
        DType::I8 => f64::from(value as i64 as i8),
        DType::U8 => f64::from(value as i64 as u8),
        _ => value,
    }
}

fn check_scatter(cases: &mut Cases, case: &Case, op: ScatterOp, dtype: DType) {
    // Of the narrower integers most sums and products wrap; those of i64 are numbers that f64 holds.
    let bound = if dtype.is_integer() && dtype != DType::I64 { 100.0 } else { 3.0 };
    let y = cases.rows(&case.picked, dtype, Values::Between(-bound, bound));
    let before = cases.rows(&case.shape, dtype, Values::Between(-bound, bound));
    let out = tensor_of(&before.values, &case.shape, dtype, &cases.device);
    cases.device.scatter(op, out.out(), y.tensor.view(), case.index.view(), case.axis).unwrap();
    let (mut want, mut scale) = (before.values.clone(), vec![0.0; before.values.len()]);
    for (to, &value) in case.places().into_iter().zip(&y.values) {
        let there = want[to];
        want[to] = match op {
            ScatterOp::Set => value,
            ScatterOp::Add => wrapped(there + value, dtype),
            ScatterOp::Mul => wrapped(there * value, dtype),
            ScatterOp::Max => there.max(value),
            ScatterOp::Min => there.min(value),
        };
        scale[to] += want[to].abs() + value.abs();
    }
    expect(&case.name(&format!("{op:?}")), &out, &want, |i| scale[i]);
}

pub(super) fn scatter(device: &Device) {
    let mut cases = Cases::new(device, 41);
    let numbers: Vec<DType> = [DType::F32, DType::F64].into_iter().chain(INTEGERS).collect();
    for op in ScatterOp::ALL {
        let dtypes: &[DType] = if op == ScatterOp::Set { &DType::ALL } else { &numbers };
        for &dtype in dtypes {
            for _ in 0..20 {
                let case = Case::draw(&mut cases);
                check_scatter(&mut cases, &case, op, dtype);
            }
        }
    }
    for (dims, axis, count, rows) in LARGE {
        let case = Case::of(&mut cases, Shape::new(dims).unwrap(), axis, count, rows);
        check_scatter(&mut cases, &case, ScatterOp::Add, DType::F64);
        check_scatter(&mut cases, &case, ScatterOp::Set, DType::U8);
    }
}
