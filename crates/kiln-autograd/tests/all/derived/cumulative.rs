//! Cumulative operations against plain loops.

use super::{gradients, values};
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Result, Tensor};
use proptest::prelude::*;

/// The numbers of each line along an axis of (outer, axis, inner), as `f` makes them.
fn along(x: &[f64], [outer, axis, inner]: [usize; 3], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for line in 0..outer * inner {
        let place = |i: usize| (line / inner * axis + i) * inner + line % inner;
        let numbers: Vec<f64> = (0..axis).map(|i| x[place(i)]).collect();
        f(&numbers).into_iter().enumerate().for_each(|(i, value)| y[place(i)] = value);
    }
    y
}

fn so_far(x: &[f64], start: f64, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    x.iter()
        .scan(start, |state, &x| {
            *state = f(*state, x);
            Some(*state)
        })
        .collect()
}

#[track_caller]
fn close(what: &str, dtype: DType, found: &Tensor, expected: &[f64], scale: f64) {
    let tolerance = match dtype {
        DType::F64 => 1e-12,
        DType::F32 => 2e-5,
        DType::F16 => 2e-3,
        DType::BF16 => 1.6e-2,
        _ => 0.0,
    };
    for (i, (found, expected)) in found.to_f64_vec().unwrap().into_iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= tolerance * (expected.abs() + scale);
        assert!(
            near || found == *expected || found.is_nan() && expected.is_nan(),
            "{what} {dtype} [{i}]: {found}, {expected}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn every_shape(outer in 1usize..4, axis in 1usize..600, inner in prop_oneof![Just(1usize), 1usize..9], seed in 0usize..100) {
        let shape = [outer, axis, inner];
        let x = values(shape, seed);
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            let x = x.to_dtype(dtype).unwrap();
            let numbers = x.to_f64_vec().unwrap();
            let sums = along(&numbers, shape, |x| so_far(x, 0.0, |a, b| a + b));
            close("cumsum", dtype, &x.cumsum(1).unwrap(), &sums, 10.0);
            let products = along(&numbers, shape, |x| so_far(x, 1.0, |a, b| a * b));
            close("cumprod", dtype, &x.cumprod(-2).unwrap(), &products, 1e-3);
            let logs = along(&numbers, shape, |x| so_far(x, f64::NEG_INFINITY, |a, b| a.max(b) + (-(a - b).abs()).exp().ln_1p()));
            close("logcumsumexp", dtype, &x.logcumsumexp(1).unwrap(), &logs, 1.0);
        }
        let (highest, at) = x.cummax(1).unwrap();
        let numbers = x.to_vec::<f64>().unwrap();
        prop_assert_eq!(highest.to_vec::<f64>().unwrap(), along(&numbers, shape, |x| so_far(x, f64::NEG_INFINITY, f64::max)));
        let last = |x: &[f64]| (0..x.len()).map(|i| {
            let highest = x[..=i].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            x[..=i].iter().rposition(|&x| x == highest).unwrap() as f64
        }).collect();
        prop_assert_eq!(at.to_f64_vec().unwrap(), along(&numbers, shape, last));
        let lowest = x.cummin(1).unwrap().0.to_vec::<f64>().unwrap();
        prop_assert_eq!(lowest, along(&numbers, shape, |x| so_far(x, f64::INFINITY, f64::min)));
        // A view that lies otherwise.
        let turned = x.transpose(0, 2).unwrap().flip(1).unwrap();
        let laid_out = turned.contiguous().unwrap().cumsum(1).unwrap();
        prop_assert_eq!(turned.cumsum(1).unwrap().to_vec::<f64>().unwrap(), laid_out.to_vec::<f64>().unwrap());
    }
}

#[test]
fn a_long_sum_stays_accurate() -> Result<()> {
    let count = 1 << 20;
    let x = Tensor::full([count], 0.1, DType::F32, &Device::cpu())?;
    let sums = x.cumsum(0)?.to_vec::<f32>()?;
    for i in [1usize, 1000, 123_456, count - 1] {
        let expected = f64::from(0.1f32) * (i + 1) as f64;
        assert!((f64::from(sums[i]) - expected).abs() < 1e-5 * expected, "{i}: {}, {expected}", sums[i]);
    }
    // Rows, columns and one thread have the same bits.
    let x = values([1 << 18], 3).to_dtype(DType::F32)?;
    let sums = x.cumsum(0)?.to_vec::<f32>()?;
    let pairs = Tensor::stack(&[&x, &x], 1)?.cumsum(0)?.index(1, 1)?.to_vec::<f32>()?;
    assert_eq!(sums, pairs);
    Ok(())
}

#[test]
fn special_values_and_integers() -> Result<()> {
    let cpu = Device::cpu();
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let x = Tensor::from_slice(&[1.0, nan, 5.0, nan], [4], &cpu)?;
    let (highest, at) = x.cummax(0)?;
    assert!(highest.to_vec::<f64>()?[1..].iter().all(|x| x.is_nan()));
    assert_eq!(at.to_vec::<i64>()?, [0, 1, 1, 3]); // PyTorch's
    let x = Tensor::from_slice(&[-inf, -inf, 2.0, inf, 1.0], [5], &cpu)?;
    assert_eq!(x.logcumsumexp(0)?.to_vec::<f64>()?, [-inf, -inf, 2.0, inf, inf]);
    let x = Tensor::from_slice(&[3i64, -2, 5], [3], &cpu)?;
    assert_eq!(x.cumsum(0)?.to_vec::<i64>()?, [3, 1, 6]);
    assert_eq!(x.cumprod(0)?.to_vec::<i64>()?, [3, -6, -30]);
    assert_eq!(x.cummin(0)?.1.to_vec::<i64>()?, [0, 1, 1]);
    assert_eq!(x.diff(2, 0)?.to_vec::<i64>()?, [12]);
    for shape in [[0, 3], [3, 0]] {
        let x = values(shape, 1);
        assert_eq!(x.cumsum(0)?.dims(), shape);
        assert_eq!(x.cummax(1)?.0.dims(), shape);
    }
    assert_eq!(values([4], 1).diff(4, 0)?.dims(), [0]);
    Ok(())
}

#[test]
fn gradients_of_both_orders() -> Result<()> {
    let x = values([3, 4, 2], 5);
    for axis in 0..3 {
        let one = std::slice::from_ref(&x);
        gradients("cumsum", |v| v[0].cumsum(axis), one);
        gradients("cumprod", |v| v[0].cumprod(axis), one);
        gradients("logcumsumexp", |v| v[0].logcumsumexp(axis), one);
        gradients("cummax", |v| Ok(v[0].cummax(axis)?.0), one);
        gradients("cummin", |v| Ok(v[0].cummin(axis)?.0), one);
        gradients("diff", |v| v[0].diff(1, axis), one);
        gradients("linear_recurrence", |v| v[0].linear_recurrence(&v[1], axis), &[x.clone(), values([3, 4, 2], 9)]);
    }
    // Zeros in a product: one, and several.
    for zeros in [vec![2], vec![0], vec![1, 3], vec![0, 1, 2, 3]] {
        let mut numbers = values([4], 8).to_vec::<f64>()?;
        zeros.iter().for_each(|&at| numbers[at] = 0.0);
        let x = Tensor::from_slice(&numbers, [4], &Device::cpu())?;
        gradients("cumprod of zeros", |v| v[0].cumprod(0), &[x]);
    }
    let start = Tensor::from_slice(&[f64::NEG_INFINITY, 1.0, 2.0], [3], &Device::cpu())?;
    let x = Var::variable(start);
    let gradients = x.logcumsumexp(0)?.slice(0, 1..3)?.sum_all()?.backward()?;
    let slopes = gradients.of(&x).unwrap().to_vec::<f64>()?;
    assert!(slopes[0] == 0.0 && slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
    Ok(())
}
