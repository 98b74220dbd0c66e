//! Variances, norms and counts against plain formulas.

use super::{gradients, values};
use kiln_autograd::{Var, grad};
use kiln_tensor::{DType, Device, Result, Tensor};

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &[f64], tolerance: f64) {
    let found = found.to_f64_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= tolerance * (1e-300 + expected.abs());
        assert!(near || found.is_nan() && expected.is_nan() || found == *expected, "{what} [{i}]: {found}, {expected}");
    }
}

/// Σ (x − mean)² / (n − correction)
fn variance(x: &[f64], correction: usize) -> f64 {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (x.len() as f64 - correction as f64).max(0.0)
}

#[test]
fn variances() -> Result<()> {
    for (shape, seed) in [([3, 50], 1), ([2, 5000], 2), ([70, 1], 3), ([100, 33], 4)] {
        let x = values(shape, seed).affine(1.0, 100.0)?;
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 1e-4)] {
            let x = x.to_dtype(dtype)?;
            let numbers = x.to_f64_vec()?;
            for correction in [0, 1] {
                let rows: Vec<f64> = numbers.chunks(shape[1]).map(|row| variance(row, correction)).collect();
                close("rows", &x.var(1, correction)?, &rows, tolerance);
                let columns: Vec<f64> = (0..shape[1])
                    .map(|j| {
                        variance(&numbers.iter().skip(j).step_by(shape[1]).copied().collect::<Vec<_>>(), correction)
                    })
                    .collect();
                close("columns", &x.var(0, correction)?, &columns, tolerance);
                close("columns of a view", &x.t()?.var(1, correction)?, &columns, tolerance);
                close("all", &x.var(.., correction)?, &[variance(&numbers, correction)], tolerance);
                let roots: Vec<f64> = rows.iter().map(|x| x.sqrt()).collect();
                close("std", &x.std_keepdim(-1, correction)?, &roots, tolerance);
            }
        }
    }
    let x = values([4, 3], 1);
    let (var, mean) = x.var_mean(0, 1)?;
    assert_eq!((var.to_f64_vec()?, mean.to_f64_vec()?), (x.var(0, 1)?.to_f64_vec()?, x.mean(0)?.to_f64_vec()?));
    // A constant has no variance, exactly; too few numbers have none at all.
    assert_eq!(Tensor::full([1000], 0.1, DType::F32, &Device::cpu())?.var(.., 1)?.item()?, 0.0);
    assert!(x.slice(0, 0..1)?.var(0, 1)?.to_f64_vec()?.iter().all(|v| v.is_nan()));
    assert!(values([0, 2], 1).var(0, 0)?.to_f64_vec()?.iter().all(|v| v.is_nan()));
    assert_eq!(x.to_dtype(DType::BF16)?.std(0, 1)?.dtype(), DType::BF16);
    for axes in [&[0][..], &[1], &[0, 1]] {
        gradients("var", |v| v[0].var(axes, 1), &[values([4, 3], 2)]);
        gradients("std", |v| v[0].std(axes, 0), &[values([4, 3], 2)]);
        gradients(
            "var_mean",
            |v| {
                let (var, mean) = v[0].var_mean(axes, 1)?;
                var.add(&mean)
            },
            &[values([4, 3], 2)],
        );
    }
    Ok(())
}

/// The gradients of first and second order of f at x, of which all must be finite.
fn slopes(x: &Tensor, f: impl Fn(&Var) -> Result<Var>) -> Result<[Vec<f64>; 2]> {
    let x = Var::variable(x.clone());
    let first = grad(&f(&x)?.sum_all()?, &[&x])?.remove(0).unwrap();
    let second = grad(&first.sum_all()?, &[&x])?.remove(0);
    let numbers = |var: &Var| var.tensor().to_f64_vec();
    let second = second.as_ref().map_or(Ok(vec![0.0; x.shape().elements()]), numbers)?;
    Ok([numbers(&first)?, second])
}

#[test]
fn slopes_at_zero_are_zero() -> Result<()> {
    let zero = Tensor::zeros([3], DType::F64, &Device::cpu())?;
    let constant = Tensor::full([3], 0.25, DType::F64, &Device::cpu())?;
    assert_eq!(slopes(&constant, |x| x.std(.., 1))?, [[0.0; 3], [0.0; 3]]);
    for p in [2.0, 1.0, 1.5, 3.0, 0.5, f64::INFINITY] {
        assert_eq!(slopes(&zero, |x| x.norm(p, ..))?, [[0.0; 3], [0.0; 3]], "{p}");
    }
    // A zero among others.
    let x = Tensor::from_slice(&[0.0, 3.0, -4.0], [3], &Device::cpu())?;
    let first = slopes(&x, |x| x.norm(2.0, ..))?.concat();
    assert!(first[0] == 0.0 && (first[1] - 0.6).abs() < 1e-15 && (first[2] + 0.8).abs() < 1e-15, "{first:?}");
    assert!(slopes(&x, |x| x.norm(1.5, ..))?.concat().iter().all(|slope| slope.is_finite()));
    assert!(slopes(&zero, |x| x.normalized(2.0, 0, 1e-12))?.concat().iter().all(|slope| slope.is_finite()));
    Ok(())
}

#[test]
fn norms() -> Result<()> {
    let x = values([4, 6], 7);
    let numbers = x.to_vec::<f64>()?;
    for p in [2.0, 1.0, 0.0, 3.0, 0.5, -1.0, -2.0, f64::INFINITY, f64::NEG_INFINITY] {
        let norm = |row: &[f64]| match p {
            0.0 => row.iter().filter(|x| **x != 0.0).count() as f64,
            f64::INFINITY => row.iter().fold(0.0, |a: f64, x| a.max(x.abs())),
            f64::NEG_INFINITY => row.iter().fold(f64::INFINITY, |a: f64, x| a.min(x.abs())),
            p => row.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p),
        };
        let rows: Vec<f64> = numbers.chunks(6).map(norm).collect();
        close(&format!("{p}"), &x.norm(p, 1)?, &rows, 1e-12);
        close(&format!("{p} of all"), &x.norm_keepdim(p, ..)?, &[norm(&numbers)], 1e-12);
        close(&format!("{p} in f32"), &x.to_dtype(DType::F32)?.norm(p, 1)?, &rows, 1e-5);
        if p != 0.0 {
            gradients("norm", |v| v[0].norm(p, -1), std::slice::from_ref(&x));
        }
    }
    // Squares beyond the range of f32, and below it.
    for size in [1e30, 1e-30, 1e-36] {
        let x = Tensor::from_slice(&[3.0 * size, -4.0 * size], [2], &Device::cpu())?.to_dtype(DType::F32)?;
        let expected = x.to_f64_vec()?.iter().map(|x| x * x).sum::<f64>().sqrt();
        close("norm", &x.norm(2.0, ..)?, &[expected], 1e-6);
    }
    let inf = Tensor::from_slice(&[f32::INFINITY, 1.0], [2], &Device::cpu())?;
    assert_eq!(inf.norm(2.0, ..)?.item()?, f64::INFINITY);
    let zero = Tensor::from_slice(&[0.0, 2.0], [2], &Device::cpu())?;
    assert_eq!(zero.norm(-1.0, ..)?.item()?, 0.0);
    assert_eq!(values([0, 2], 1).norm(2.0, 0)?.to_f64_vec()?, [0.0; 2]);
    Ok(())
}

#[test]
fn directions() -> Result<()> {
    let (x, y) = (values([3, 4], 1), values([3, 4], 6));
    let rows = |t: &Tensor| t.to_vec::<f64>().unwrap().chunks(4).map(<[f64]>::to_vec).collect::<Vec<_>>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosines: Vec<f64> =
        rows(&x).iter().zip(&rows(&y)).map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).collect();
    close("cosine", &x.cosine_similarity(&y, 1, 1e-8)?, &cosines, 1e-12);
    let unit = x.normalized(2.0, 1, 1e-12)?;
    close("normalized", &unit.norm(2.0, 1)?, &[1.0; 3], 1e-14);
    let row = y.index(0, 0)?;
    let stretched = row.broadcast_to([3, 4])?;
    let expected = x.cosine_similarity(&stretched, -1, 1e-8)?.to_f64_vec()?;
    close("a broadcast vector", &x.cosine_similarity(&row, -1, 1e-8)?, &expected, 1e-14);
    let one = Tensor::full([1], 2.0, DType::F64, &Device::cpu())?;
    let expected = x.cosine_similarity(&one.broadcast_to([3, 4])?, 1, 1e-8)?.to_f64_vec()?;
    close("a broadcast number", &x.cosine_similarity(&one, 1, 1e-8)?, &expected, 1e-14);
    gradients("cosine", |v| v[0].cosine_similarity(&v[1], 1, 1e-8), &[x.clone(), y]);
    gradients("normalized", |v| v[0].normalized(2.0, 0, 1e-12), &[x]);
    Ok(())
}

#[test]
fn counts_and_extrema() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::from_slice(&[0.0, -0.0, f64::NAN, 2.0, 0.0, 0.0], [2, 3], &cpu)?;
    assert_eq!(x.count_nonzero(1)?.to_vec::<i64>()?, [1, 1]);
    assert_eq!(x.any(0)?.to_vec::<bool>()?, [true, false, true]);
    assert_eq!(x.all(..)?.to_vec::<bool>()?, [false]);
    for dtype in DType::ALL {
        let x = Tensor::from_slice(&[1u8, 0, 1, 1], [2, 2], &cpu)?.to_dtype(dtype)?;
        assert_eq!(x.all(1)?.to_vec::<bool>()?, [false, true]);
        assert_eq!(x.any(..)?.to_vec::<bool>()?, [true]);
        assert_eq!(x.argmin_all()?.item()?, 1.0);
        assert_eq!(x.argmax_keepdim(1)?.dims(), [2, 1]);
        let none = x.slice(0, 0..0)?;
        assert_eq!((none.any(0)?.to_vec::<bool>()?, none.all(0)?.to_vec::<bool>()?), (vec![false; 2], vec![true; 2]));
    }
    assert_eq!((x.nansum(..)?.item()?, x.nanmean(1)?.to_vec::<f64>()?), (2.0, vec![0.0, 2.0 / 3.0]));
    assert_eq!(slopes(&x, |x| x.nansum(..))?[0], [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    let (low, high) = values([3, 4], 1).aminmax(1)?;
    assert_eq!(low.to_f64_vec()?, values([3, 4], 1).min(1)?.to_f64_vec()?);
    assert_eq!(high.to_f64_vec()?, values([3, 4], 1).max(1)?.to_f64_vec()?);
    gradients(
        "aminmax",
        |v| {
            let (low, high) = v[0].aminmax(0)?;
            high.sub(&low)
        },
        &[values([3, 4], 1)],
    );
    gradients("nanmean", |v| v[0].nanmean(0), &[values([3, 4], 1)]);
    Ok(())
}
