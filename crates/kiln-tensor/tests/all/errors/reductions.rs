//! Sentences on reductions, cumulative operations and sorting.

use super::{check, labels, typed, zeros};
use kiln_tensor::{DType, Device, ErrorKind, Interpolation, Order, Tensor};

#[test]
fn reductions_and_norms() {
    let (x, none, numbers) = (zeros([2, 3]), zeros([0, 3]), typed([2, 3], DType::I64));
    check(x.var([0, 0], 1), ErrorKind::Shape, "axes: axis 0 of (2, 3) is named twice");
    check(x.std(2, 1), ErrorKind::Shape, "axes: axis 2 is out of range for (2, 3), which has 2 axes");
    check(
        numbers.var(0, 1),
        ErrorKind::DType,
        "var: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        numbers.norm(2.0, ..),
        ErrorKind::DType,
        "norm: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(x.norm(f64::NAN, ..), ErrorKind::Value, "norm: p is NaN: a number or an infinity is expected");
    check(none.norm(f64::INFINITY, 0), ErrorKind::Shape, "reduce: axis 0 of (0, 3) is empty: it has no extremum");
    check(none.aminmax(0), ErrorKind::Shape, "reduce: axis 0 of (0, 3) is empty: it has no extremum");
    check(none.argmax_all(), ErrorKind::Shape, "argmax: axis 0 of (0,) is empty: it has no extremum");
    check(
        x.cosine_similarity(&zeros([2, 4]), 1, 1e-8),
        ErrorKind::Shape,
        "cosine_similarity: shapes (2, 3) and (2, 4) do not broadcast: axis 1 is 3 against 4; equal sizes or 1 are needed",
    );
    check(
        x.normalized(2.0, 2, 1e-12),
        ErrorKind::Shape,
        "normalized: axis 2 is out of range for (2, 3), which has 2 axes",
    );
}

#[test]
fn cumulative_operations() {
    let x = zeros([2, 3]);
    check(x.cumsum(2), ErrorKind::Shape, "cumsum: axis 2 is out of range for (2, 3), which has 2 axes");
    check(
        typed([2], DType::I64).logcumsumexp(0),
        ErrorKind::DType,
        "logcumsumexp: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
    );
    check(
        x.diff(3, 0),
        ErrorKind::Shape,
        "diff: axis 0 of (2, 3) has 2 elements: differences are taken at most 2 times",
    );
    check(
        x.linear_recurrence(&zeros([3, 2]), 0),
        ErrorKind::Shape,
        "linear_recurrence: factors (2, 3) and terms (3, 2) must be of one shape",
    );
}

#[test]
fn sorting_and_counting() {
    let (x, none) = (zeros([2, 3]), zeros([0, 3]));
    let scalar = Tensor::scalar(1.0f32, &Device::cpu()).unwrap();
    check(scalar.sort(0, Order::Ascending), ErrorKind::Shape, "sort: axis 0 is out of range for (), which has 0 axes");
    check(
        x.topk(4, 1, Order::Descending),
        ErrorKind::Value,
        "topk: k = 4 of axis 1 of (2, 3), which has 3 elements: give 3 or fewer",
    );
    check(
        x.kthvalue(0, 1),
        ErrorKind::Value,
        "kthvalue: k = 0 of axis 1 of (2, 3), which has 3 elements: k counts from 1",
    );
    check(none.median(0), ErrorKind::Shape, "median: axis 0 of (0, 3) is empty: it has no median");
    check(x.quantile(1.5, 1, Interpolation::Linear), ErrorKind::Value, "quantile: quantiles are from 0 to 1, got 1.5");
    check(
        x.quantiles(&[], 1, Interpolation::Linear),
        ErrorKind::Value,
        "quantile: there is no q: give one or more numbers from 0 to 1",
    );
    check(
        x.searchsorted(&zeros([3, 3]), false),
        ErrorKind::Shape,
        "searchsorted: values (3, 3) in sorted rows (2, 3): one axis is expected, or the values' leading axes before the last",
    );
    check(x.bucketize(&x, false), ErrorKind::Shape, "bucketize: boundaries of one axis are expected, got (2, 3)");
    check(
        x.bincount(None, 0),
        ErrorKind::DType,
        "bincount: dtype f32 is not supported; it takes integers: convert with `to_dtype`",
    );
    check(
        labels(&[0, -1]).bincount(None, 0),
        ErrorKind::Index,
        "bincount: element 1 is -1: numbers from 0 on are counted",
    );
    check(
        labels(&[0, 1]).bincount(Some(&zeros([3])), 0),
        ErrorKind::Shape,
        "bincount: weights (3,) of numbers (2,): a weight for each is expected",
    );
    check(x.histogram(0, 0.0, 1.0), ErrorKind::Value, "histogram: there are no bins: give 1 or more");
    check(
        x.histogram(2, 1.0, 1.0),
        ErrorKind::Value,
        "histogram: finite ends, the lower one first, are expected, got 1 and 1",
    );
    check(
        x.histogram_by(&zeros([1])),
        ErrorKind::Shape,
        "histogram: two edges or more, in one axis, are expected, got (1,)",
    );
}
