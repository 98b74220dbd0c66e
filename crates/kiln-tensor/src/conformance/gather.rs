//! Gathering by index, and its adjoint.

use super::cases::{Cases, FLOATS, INTEGERS, Operand, Values, expect, expect_same, indices, output, tensor_of};
use crate::{DType, Device, Shape};

/// A shape, an axis of it that is not empty, and indices into that.
fn case(cases: &mut Cases) -> (Shape, usize, Operand, Shape) {
    loop {
        let rank = 1 + cases.below(3);
        let shape = cases.shape_of_rank(rank);
        let axis = cases.below(rank);
        if shape[axis] == 0 {
            continue;
        }
        let count = cases.size();
        let index = cases.operand(&Shape::new(&[count]).unwrap(), DType::I64, Values::Below(shape[axis] as u32));
        let mut picked = shape.to_vec();
        picked[axis] = count;
        return (shape, axis, index, Shape::new(&picked).unwrap());
    }
}

/// The place of index `at` of `picked`, once the axis is looked up, in `shape`.
fn place(shape: &Shape, axis: usize, index: &Operand, at: &[usize]) -> usize {
    let look = |i: usize| if i == axis { index.values[at[i]] as usize } else { at[i] };
    (0..shape.rank()).fold(0, |place, i| place * shape[i] + look(i))
}

pub(super) fn gather(device: &Device) {
    let mut cases = Cases::new(device, 40);
    for dtype in DType::ALL {
        for _ in 0..30 {
            let (shape, axis, index, picked) = case(&mut cases);
            let x = cases.rows(&shape, dtype, Values::Special(-100.0, 100.0));
            let out = output(&picked, dtype, device);
            device.gather(out.out(), x.tensor.view(), index.tensor.view(), axis).unwrap();
            let want: Vec<f64> = indices(&picked).map(|at| x.values[place(&shape, axis, &index, &at)]).collect();
            expect_same(&format!("gather along {axis} of {shape}"), &out, &want);
        }
    }
    // Rows enough to be shared out.
    let (shape, picked) = (Shape::new(&[100, 64]).unwrap(), Shape::new(&[1500, 64]).unwrap());
    let x = cases.rows(&shape, DType::F32, Values::Between(-1.0, 1.0));
    let index = cases.operand(&Shape::new(&[1500]).unwrap(), DType::I64, Values::Below(100));
    let out = output(&picked, DType::F32, device);
    device.gather(out.out(), x.tensor.view(), index.tensor.view(), 0).unwrap();
    let want: Vec<f64> = indices(&picked).map(|at| x.values[place(&shape, 0, &index, &at)]).collect();
    expect_same("gather of many rows", &out, &want);
}

pub(super) fn scatter_add(device: &Device) {
    let mut cases = Cases::new(device, 41);
    for dtype in FLOATS.into_iter().chain(INTEGERS) {
        for _ in 0..30 {
            let (shape, axis, index, picked) = case(&mut cases);
            // Sums stay within the narrowest type.
            let values = if dtype.is_integer() { Values::Below(2) } else { Values::Between(-3.0, 3.0) };
            let y = cases.rows(&picked, dtype, values);
            let before = cases.rows(&shape, dtype, values);
            let out = tensor_of(&before.values, &shape, dtype, device);
            device.scatter_add(out.out(), y.tensor.view(), index.tensor.view(), axis).unwrap();
            let (mut want, mut scale) = (before.values.clone(), vec![0.0; before.values.len()]);
            for (at, &value) in indices(&picked).zip(&y.values) {
                let to = place(&shape, axis, &index, &at);
                want[to] += value;
                // The half types round at every addition.
                let rounding = match dtype {
                    DType::F16 => 1e3,
                    DType::BF16 => 1e4,
                    _ => 1.0,
                };
                scale[to] += rounding * (want[to].abs() + value.abs());
            }
            expect(&format!("scatter_add along {axis} of {shape}"), &out, &want, |i| scale[i]);
        }
    }
}
