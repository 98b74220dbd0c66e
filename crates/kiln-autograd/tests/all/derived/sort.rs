//! Sorting and order statistics against plain sorts.

use super::{gradients, values};
use kiln_tensor::{DType, Device, Interpolation, Order, Result, Tensor};
use proptest::prelude::*;

const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];

/// Positions that sort a row stably, NaN last or first.
fn plain(row: &[f64], order: Order) -> Vec<i64> {
    let mut positions: Vec<i64> = (0..row.len() as i64).collect();
    let before = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(a.is_nan().cmp(&b.is_nan()));
    positions.sort_by(|&a, &b| {
        let (a, b) = (row[a as usize], row[b as usize]);
        if order == Order::Ascending { before(a, b) } else { before(b, a) }
    });
    positions
}

/// Rows along the last axis.
fn rows(x: &Tensor) -> Vec<Vec<f64>> {
    let width = x.dims().last().copied().unwrap_or(1).max(1);
    x.to_f64_vec().unwrap().chunks(width).map(<[f64]>::to_vec).collect()
}

#[track_caller]
fn same(what: &str, found: &[f64], expected: &[f64]) {
    let equal = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan();
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(equal), "{what}: {found:?}, {expected:?}");
}

/// All that sorts, of one tensor along its last axis.
fn check(x: &Tensor) -> Result<()> {
    let width = x.dims()[x.rank() - 1];
    for order in ORDERS {
        let expected: Vec<Vec<i64>> = rows(x).iter().map(|row| plain(row, order)).collect();
        let (sorted, positions) = x.sort_with_positions(-1, order)?;
        let only = x.sort(-1, order)?;
        assert_eq!(positions.to_vec::<i64>()?, expected.concat(), "{order:?} of {} {}", x.dtype(), x.shape());
        assert_eq!(x.argsort(-1, order)?.to_vec::<i64>()?, expected.concat());
        for ((row, expected), (sorted, only)) in
            rows(x).iter().zip(&expected).zip(rows(&sorted).iter().zip(&rows(&only)))
        {
            let expected: Vec<f64> = expected.iter().map(|&at| row[at as usize]).collect();
            same("values", sorted, &expected);
            same("values alone", only, &expected);
        }
        for k in [0, 1, width / 3, width.saturating_sub(1), width] {
            let (top, at) = x.topk(k.min(width), -1, order)?;
            let (part, part_at) = (sorted.slice(-1, 0..k.min(width))?, positions.slice(-1, 0..k.min(width))?);
            same("topk", &top.to_f64_vec()?, &part.to_f64_vec()?);
            assert_eq!(at.to_vec::<i64>()?, part_at.to_vec::<i64>()?, "topk {k}");
        }
    }
    let ascending = x.sort(-1, Order::Ascending)?;
    for k in [1, width / 2, width].into_iter().filter(|k| (1..=width).contains(k)) {
        let (value, at) = x.kthvalue(k, -1)?;
        let wanted: Vec<f64> = rows(&ascending).iter().map(|row| row[k - 1]).collect();
        same("kthvalue", &value.to_f64_vec()?, &wanted);
        for ((row, wanted), at) in rows(x).iter().zip(wanted).zip(at.to_vec::<i64>()?) {
            let first = row.iter().position(|&x| x == wanted || x.is_nan() && wanted.is_nan());
            assert_eq!(first, Some(at as usize));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sorts_are_stable_in_every_dtype(
        rows in 1usize..5,
        numbers in proptest::collection::vec(prop_oneof![-4i32..5, Just(i32::MAX), Just(i32::MIN), -300i32..300], 1..700),
    ) {
        let width = numbers.len().div_ceil(rows);
        let special = |n: i32| match n {
            i32::MAX => f64::NAN,
            i32::MIN => f64::NEG_INFINITY,
            0 => -0.0,
            n => f64::from(n) / 2.0,
        };
        let data: Vec<f64> = (0..rows * width).map(|i| special(numbers[i % numbers.len()])).collect();
        let x = Tensor::from_slice(&data, [rows, width], &Device::cpu()).unwrap();
        for dtype in DType::ALL {
            check(&x.to_dtype(dtype).unwrap()).unwrap();
        }
        // A view whose rows are not next to each other.
        let strided = Tensor::from_slice(&data, [width, rows], &Device::cpu()).unwrap().t().unwrap();
        check(&strided).unwrap();
        check(&strided.flip(1).unwrap()).unwrap();
    }
}

/// Long rows go other ways than short ones: shared passes, and selection without sorting.
#[test]
fn long_rows() -> Result<()> {
    let count = 300_000usize;
    let data: Vec<f32> = (0..count).map(|i| ((i * 7919) % 100_003) as f32 / 8.0 - 3000.0).collect();
    let x = Tensor::from_slice(&data, [1, count], &Device::cpu())?;
    for dtype in [DType::F32, DType::F64, DType::F16] {
        check(&x.to_dtype(dtype)?)?;
    }
    check(&x.reshape([2, count / 2])?)?;
    // All equal, and already sorted.
    check(&Tensor::zeros([1, count], DType::F32, &Device::cpu())?)?;
    check(&x.sort(-1, Order::Ascending)?)?;
    let numbers = x.to_dtype(DType::F64)?.to_vec::<f64>()?;
    for k in [1usize, 100, 5000, 60_000] {
        let (values, at) = x.topk(k, 1, Order::Descending)?;
        let expected = plain(&numbers, Order::Descending);
        assert_eq!(at.to_vec::<i64>()?, expected[..k]);
        assert_eq!(values.to_vec::<f32>()?[k - 1], data[expected[k - 1] as usize]);
    }
    Ok(())
}

#[test]
fn other_axes_and_empty_ones() -> Result<()> {
    let x = values([3, 5, 2], 4);
    for axis in 0..3 {
        let (sorted, at) = x.sort_with_positions(axis, Order::Ascending)?;
        let (expected, expected_at) = x.transpose(axis, 2)?.contiguous()?.sort_with_positions(2, Order::Ascending)?;
        assert_eq!(sorted.to_f64_vec()?, expected.transpose(axis, 2)?.to_f64_vec()?);
        assert_eq!(at.to_f64_vec()?, expected_at.transpose(axis, 2)?.to_f64_vec()?);
        assert_eq!(x.median(axis)?.0.dims(), x.sum(axis)?.dims());
    }
    let none = values([2, 0], 1);
    assert_eq!(none.sort(-1, Order::Ascending)?.dims(), [2, 0]);
    assert_eq!(none.argsort(0, Order::Ascending)?.dims(), [2, 0]);
    assert_eq!(none.topk(0, 1, Order::Ascending)?.0.dims(), [2, 0]);
    Ok(())
}

#[test]
fn medians_and_quantiles() -> Result<()> {
    let x = Tensor::from_slice(&[4.0, 1.0, 3.0, 2.0, f64::NAN, 5.0, 0.0, 9.0], [2, 4], &Device::cpu())?;
    let (median, at) = x.median(1)?;
    assert_eq!(median.to_vec::<f64>()?[0], 2.0);
    assert!(median.to_vec::<f64>()?[1].is_nan());
    assert_eq!(at.to_vec::<i64>()?, [3, 0]);
    let row = x.slice(0, 0..1)?;
    for (interpolation, expected) in [
        (Interpolation::Linear, [1.0, 1.75, 2.5, 4.0]),
        (Interpolation::Lower, [1.0, 1.0, 2.0, 4.0]),
        (Interpolation::Higher, [1.0, 2.0, 3.0, 4.0]),
        (Interpolation::Nearest, [1.0, 2.0, 3.0, 4.0]),
        (Interpolation::Midpoint, [1.0, 1.5, 2.5, 4.0]),
    ] {
        let q = [0.0, 0.25, 0.5, 1.0];
        let all = row.quantiles(&q, 1, interpolation)?;
        assert_eq!(all.dims(), [4, 1]);
        let expected = if interpolation == Interpolation::Nearest { [1.0, 2.0, 3.0, 4.0] } else { expected };
        assert_eq!(all.to_vec::<f64>()?, expected, "{interpolation:?}");
        for (q, expected) in q.into_iter().zip(expected) {
            assert_eq!(row.quantile(q, 1, interpolation)?.to_vec::<f64>()?, [expected]);
        }
    }
    assert!(x.quantile(0.5, 1, Interpolation::Linear)?.to_vec::<f64>()?[1].is_nan());
    Ok(())
}

#[test]
fn gradients_go_to_the_chosen_elements() {
    let x = [values([3, 5], 2)];
    for axis in [0, 1] {
        gradients("sort", |v| v[0].sort(axis, Order::Descending), &x);
        gradients("topk", |v| Ok(v[0].topk(2, axis, Order::Ascending)?.0), &x);
        gradients("kthvalue", |v| Ok(v[0].kthvalue(2, axis)?.0), &x);
        gradients("median", |v| Ok(v[0].median(axis)?.0), &x);
        for q in [0.0, 0.3, 0.8] {
            gradients("quantile", |v| v[0].quantile(q, axis, Interpolation::Linear), &x);
        }
        gradients("quantiles", |v| v[0].quantiles(&[0.1, 0.5, 0.7], axis, Interpolation::Midpoint), &x);
    }
}

#[test]
fn distinct_elements_and_counts() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::from_slice(&[2.0f32, f32::NAN, -1.0, 2.0, 0.0, f32::NAN], [2, 3], &cpu)?;
    let unique = x.unique_with_counts()?;
    same("unique", &x.unique()?.to_f64_vec()?, &[-1.0, 0.0, 2.0, f64::NAN, f64::NAN]);
    same("unique", &unique.values.to_f64_vec()?, &[-1.0, 0.0, 2.0, f64::NAN, f64::NAN]);
    assert_eq!(unique.counts.to_vec::<i64>()?, [1, 1, 2, 1, 1]);
    assert_eq!(unique.inverse.to_vec::<i64>()?, [2, 3, 0, 2, 1, 4]);
    assert_eq!(unique.inverse.dims(), [2, 3]);
    for dtype in DType::ALL {
        let x = Tensor::from_slice(&[1u8, 0, 1, 1], [4], &cpu)?.to_dtype(dtype)?;
        assert_eq!(x.unique()?.to_f64_vec()?, [0.0, 1.0]);
        assert_eq!(x.slice(0, 0..0)?.unique_with_counts()?.counts.dims(), [0]);
    }
    let numbers = Tensor::from_slice(&[0i64, 2, 2], [3], &cpu)?;
    assert_eq!(numbers.bincount(None, 0)?.to_vec::<i64>()?, [1, 0, 2]);
    assert_eq!(numbers.bincount(None, 5)?.to_vec::<i64>()?, [1, 0, 2, 0, 0]);
    assert_eq!(numbers.slice(0, 0..0)?.bincount(None, 0)?.dims(), [0]);
    let x = Tensor::from_slice(&[-1.0, 0.0, 0.25, 0.5, 1.0, 1.5, f64::NAN], [7], &cpu)?;
    assert_eq!(x.histogram(2, 0.0, 1.0)?.0.to_vec::<i64>()?, [2, 2]);
    assert_eq!(x.slice(0, 0..0)?.histogram(2, 0.0, 1.0)?.0.to_vec::<i64>()?, [0, 0]);
    Ok(())
}

#[test]
fn searches_in_rows_of_their_own() -> Result<()> {
    let cpu = Device::cpu();
    let sorted = Tensor::from_slice(&[1i64, 3, 3, 7, 0, 0, 9, 9], [2, 4], &cpu)?;
    let x = Tensor::from_slice(&[3i64, 8, 0, 0, 9, 10], [2, 3], &cpu)?;
    assert_eq!(sorted.searchsorted(&x, false)?.to_vec::<i64>()?, [1, 4, 0, 0, 2, 4]);
    assert_eq!(sorted.searchsorted(&x, true)?.to_vec::<i64>()?, [3, 4, 0, 2, 4, 4]);
    let edges = Tensor::from_slice(&[0.0f32, 1.0], [2], &cpu)?;
    let x = Tensor::from_slice(&[f32::NAN, -1.0, 1.0], [3, 1], &cpu)?;
    assert_eq!(x.bucketize(&edges, false)?.to_vec::<i64>()?, [2, 0, 1]);
    Ok(())
}
