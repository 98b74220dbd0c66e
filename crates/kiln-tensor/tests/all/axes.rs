//! An axis may be given from either end, as an `i32`, an `isize` or a `usize`, to every operation.

use kiln_tensor::{DType, Device, IntoAxis, Result, Tensor};

fn x() -> Tensor {
    Tensor::arange(24, &Device::cpu()).unwrap().to_dtype(DType::F32).unwrap().reshape([2, 3, 4]).unwrap()
}

/// What each operation gives for an axis of `x`: shape and values.
fn all(axis: impl IntoAxis) -> Vec<(Vec<usize>, Vec<f64>)> {
    let x = x();
    let index = Tensor::from_slice(&[1i64, 0], [2], &Device::cpu()).unwrap();
    let one = x.slice(axis, 1..2).unwrap();
    let mut assigned = x.copied().unwrap();
    assigned.slice_assign(axis, 0..1, &one).unwrap();
    let mut added = x.copied().unwrap();
    added.index_add_assign(axis, &index, &x.index_select(axis, &index).unwrap()).unwrap();
    let results: Vec<Result<Tensor>> = vec![
        Ok(one.clone()),
        one.squeeze(axis),
        x.flip(axis),
        x.index(axis, 1),
        x.transpose(axis, 0),
        x.slice_by(axis, 0..2, -1),
        Tensor::concat(&[&x, &x], axis),
        Ok(x.split(axis, 1).unwrap().remove(1)),
        Ok(x.chunk(axis, 1).unwrap().remove(0)),
        x.flatten(axis),
        x.index_select(axis, &index),
        Ok(assigned),
        Ok(added),
        x.softmax(axis),
        x.log_softmax(axis),
        x.argmax(axis),
        x.argmin(axis),
        x.sum(axis),
        x.sum_keepdim([axis]),
        x.max(&[axis][..]),
    ];
    results.into_iter().map(|y| y.unwrap()).map(|y| (y.dims().to_vec(), y.to_f64_vec().unwrap())).collect()
}

#[test]
fn from_either_end_in_any_type() {
    for axis in 0..3i32 {
        let expected = all(axis);
        assert_eq!(all(axis - 3), expected);
        assert_eq!(all(axis as isize - 3), expected);
        assert_eq!(all(axis as usize), expected);
    }
}

#[test]
fn a_new_axis_from_either_end() {
    let x = x();
    for (negative, at, dims) in [(-1, 3, [2, 3, 4, 1]), (-2, 2, [2, 3, 1, 4]), (-4, 0, [1, 2, 3, 4])] {
        assert_eq!(x.unsqueeze(negative).unwrap().dims(), dims);
        assert_eq!(x.unsqueeze(at).unwrap().dims(), dims);
        let stacked = Tensor::stack(&[&x, &x], negative).unwrap();
        assert_eq!(stacked.dims()[at], 2);
        assert_eq!(stacked.to_f64_vec().unwrap(), Tensor::stack(&[&x, &x], at).unwrap().to_f64_vec().unwrap());
    }
    assert_eq!(x.permute(&[-1, 0, 1]).unwrap().dims(), [4, 2, 3]);
}

#[test]
fn out_of_range() {
    let x = x().reshape([24]).unwrap();
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    assert_eq!(message(x.flip(1)), "flip: axis 1 is out of range for (24,), which has 1 axis");
    assert_eq!(message(x.squeeze(-2)), "squeeze: axis -2 is out of range for (24,), which has 1 axis");
    assert_eq!(message(x.unsqueeze(-3)), "unsqueeze: axis -3 is out of range for (24,), which has 1 axis");
    assert_eq!(message(x.transpose(0, 4)), "transpose: axis 4 is out of range for (24,), which has 1 axis");
    assert_eq!(message(Tensor::concat(&[&x], 1)), "concat: axis 1 is out of range for (24,), which has 1 axis");
}
