use super::{gradients, values};
use kiln_autograd::Var;
use kiln_tensor::{DType, Device, Result, Tensor};

fn row(numbers: &[f64]) -> Tensor {
    Tensor::from_slice(numbers, [numbers.len()], &Device::cpu()).unwrap()
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Equal, or both NaN.
#[track_caller]
fn same(y: &Tensor, expected: &[f64]) {
    let y = y.to_f64_vec().unwrap();
    assert!(
        y.len() == expected.len() && y.iter().zip(expected).all(|(a, b)| a == b || a.is_nan() && b.is_nan()),
        "{y:?}"
    );
}

#[test]
fn lerp() -> Result<()> {
    let (a, b) = (row(&[1.0, -2.0, 1e16]), row(&[3.0, 2.0, 1.0]));
    same(&a.lerp(&b, 0.0)?, &[1.0, -2.0, 1e16]);
    same(&a.lerp(&b, 1.0)?, &[3.0, 2.0, 1.0]);
    same(&a.lerp(&b, 0.25)?, &[1.5, -1.0, 0.75e16]);
    same(&a.lerp_tensor(&b, &row(&[1.0, 0.5, 1.0]))?, &[3.0, 0.0, 1.0]);
    let [x, y, w] = [values([2, 3], 1), values([3], 2), values([2, 1], 3)];
    for weight in [0.3, 0.7, -1.5, 2.0] {
        gradients("lerp", |v| v[0].lerp(&v[1], weight), &[x.clone(), y.clone()]);
    }
    gradients("lerp_tensor", |v| v[0].lerp_tensor(&v[1], &v[2]), &[x, y, w]);
    Ok(())
}

#[test]
fn clamp_by_tensors() -> Result<()> {
    let x = row(&[-3.0, 0.5, 4.0, NAN, 1.0]);
    let (low, high) = (row(&[-1.0, -1.0, -1.0, 0.0, 3.0]), row(&[1.0, 1.0, NAN, 1.0, 2.0]));
    // NaN of either passes, and where the bounds cross it is the upper one.
    same(&x.clamp_tensors(Some(&low), Some(&high))?, &[-1.0, 0.5, NAN, NAN, 2.0]);
    same(&x.clamp_tensors(Some(&low), None)?, &[-1.0, 0.5, 4.0, NAN, 3.0]);
    same(&x.clamp_tensors(None, None)?, &[-3.0, 0.5, 4.0, NAN, 1.0]);
    let counts = Tensor::from_slice(&[1i64, 5, 9], [3], &Device::cpu())?;
    let most = Tensor::scalar(6i64, &Device::cpu())?;
    assert_eq!(counts.clamp_tensors(None, Some(&most))?.to_vec::<i64>()?, [1, 5, 6]);
    let [x, low, high] = [values([4, 3], 1), values([3], 2).add_scalar(-0.3)?, values([4, 1], 4).add_scalar(0.6)?];
    gradients("clamp_tensors", |v| v[0].clamp_tensors(Some(&v[1]), Some(&v[2])), &[x, low, high]);
    Ok(())
}

#[test]
fn nan_to_num() -> Result<()> {
    let x = row(&[NAN, INF, -INF, 2.5, -1e300]);
    same(&x.nan_to_num(7.0, None, None)?, &[7.0, f64::MAX, -f64::MAX, 2.5, -1e300]);
    same(&x.nan_to_num(0.0, Some(3.0), Some(-4.0))?, &[0.0, 3.0, -4.0, 2.5, -1e300]);
    same(&x.nan_to_num(0.0, None, Some(-4.0))?, &[0.0, f64::MAX, -4.0, 2.5, -1e300]);
    for (dtype, largest) in
        [(DType::F16, 65_504.0), (DType::BF16, 3.389_531_389_251_535_5e38), (DType::F32, f32::MAX.into())]
    {
        same(&row(&[INF, NAN, -INF]).to_dtype(dtype)?.nan_to_num(1.0, None, None)?, &[largest, 1.0, -largest]);
    }
    let x = Var::variable(x);
    let gradients = x.nan_to_num(0.0, None, Some(1.0))?.sum_all()?.backward()?;
    same(gradients.of(&x).unwrap(), &[0.0, 0.0, 0.0, 1.0, 1.0]);
    Ok(())
}

#[test]
fn prelu() -> Result<()> {
    let x = values([2, 3, 2], 1);
    let weight = row(&[0.25, -0.5, 2.0]);
    let numbers = x.to_vec::<f64>()?;
    let y = x.prelu(&weight)?.to_vec::<f64>()?;
    for (i, (x, y)) in numbers.iter().zip(y).enumerate() {
        assert_eq!(y, if *x > 0.0 { *x } else { [0.25, -0.5, 2.0][i / 2 % 3] * x });
    }
    gradients("prelu", |v| v[0].prelu(&v[1]), &[x.clone(), weight]);
    gradients("prelu of one weight", |v| v[0].prelu(&v[1]), &[x.clone(), row(&[0.3])]);
    gradients("prelu of a scalar", |v| v[0].prelu(&v[1]), &[values([4], 2), values((), 5)]);
    let refused = x.prelu(&row(&[1.0, 2.0])).unwrap_err().to_string();
    assert!(refused.contains("(2, 3, 2)") && refused.contains("(3,), one number a channel"), "{refused}");
    assert!(values([3], 1).prelu(&row(&[1.0, 2.0, 3.0])).unwrap_err().to_string().contains("of shape (1,)"));
    Ok(())
}

#[test]
fn gated_linear_units() -> Result<()> {
    let x = values([2, 6], 1);
    let numbers = x.to_vec::<f64>()?;
    let erf = |x: f64| kiln_math::Real::erf(x);
    type Case = (&'static str, fn(&Var) -> Result<Var>, fn(f64, &dyn Fn(f64) -> f64) -> f64);
    let cases: [Case; 4] = [
        ("glu", |x| x.glu(-1), |b, _| 1.0 / (1.0 + (-b).exp())),
        ("reglu", |x| x.reglu(1), |b, _| b.max(0.0)),
        ("geglu", |x| x.geglu(1), |b, erf| 0.5 * b * (1.0 + erf(b * std::f64::consts::FRAC_1_SQRT_2))),
        ("swiglu", |x| x.swiglu(-1), |b, _| b / (1.0 + (-b).exp())),
    ];
    for (name, f, gate) in cases {
        let y = f(&Var::constant(x.clone()))?.tensor().to_vec::<f64>()?;
        for (i, y) in y.iter().enumerate() {
            let (a, b) = (numbers[i / 3 * 6 + i % 3], numbers[i / 3 * 6 + 3 + i % 3]);
            assert!((y - a * gate(b, &erf)).abs() < 1e-15, "{name} {i}: {y}");
        }
        gradients(name, |v| f(&v[0]), std::slice::from_ref(&x));
    }
    assert_eq!(values([4, 3], 1).glu(0)?.dims(), [2, 3]);
    let refused = values([2, 3], 1).swiglu(1).unwrap_err().to_string();
    assert!(refused.contains("swiglu") && refused.contains("axis 1 of (2, 3) has 3 elements"), "{refused}");
    Ok(())
}

#[test]
fn kinds_of_numbers() -> Result<()> {
    let x = row(&[NAN, INF, -INF, 0.0, 1e308]);
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let x = x.to_dtype(dtype)?;
        let large = dtype != DType::F64;
        assert_eq!(x.isnan()?.to_vec::<bool>()?, [true, false, false, false, false]);
        assert_eq!(x.isinf()?.to_vec::<bool>()?, [false, true, true, false, large]);
        assert_eq!(x.isfinite()?.to_vec::<bool>()?, [false, false, false, true, !large]);
    }
    for dtype in [DType::I64, DType::U8, DType::Bool] {
        let x = row(&[0.0, 1.0]).to_dtype(dtype)?;
        let all = [x.isnan()?, x.isinf()?, x.isfinite()?.logical_not()?];
        assert!(all.iter().all(|answer| answer.to_vec::<bool>().unwrap() == [false, false]));
    }
    Ok(())
}

#[test]
fn closeness() -> Result<()> {
    let x = row(&[1.0, 1.0, INF, INF, NAN, 0.0, 1e300]);
    let y = row(&[1.000_009, 1.000_02, INF, -INF, NAN, 1e-9, INF]);
    assert_eq!(x.isclose(&y, 1e-5, 1e-8, false)?.to_vec::<bool>()?, [true, false, true, false, false, true, false]);
    assert!(x.isclose(&y, 1e-5, 1e-8, true)?.to_vec::<bool>()?[4]);
    // The tolerance is of the second one's size.
    assert!(row(&[10.0]).allclose(&row(&[11.0]), 0.0, 1.0, false)?);
    assert!(
        !row(&[11.0]).allclose(&row(&[10.0]), 0.095, 0.0, false)?
            && row(&[10.0]).allclose(&row(&[11.0]), 0.095, 0.0, false)?
    );
    assert!(!x.allclose(&y, 1e-5, 1e-8, true)? && values([0, 3], 1).allclose(&values([0, 3], 2), 0.0, 0.0, false)?);
    assert!(values([3, 2], 1).allclose(&values([3, 2], 1), 0.0, 0.0, false)?);
    let counts = Tensor::from_slice(&[3i64, 5], [2], &Device::cpu())?;
    assert_eq!(
        counts.isclose(&Tensor::scalar(4i64, &Device::cpu())?, 0.25, 0.0, false)?.to_vec::<bool>()?,
        [true, true]
    );
    assert!(x.isclose(&y, -1.0, 0.0, false).unwrap_err().to_string().contains("must be 0 or more"));
    Ok(())
}

/// The sentence names the operation and the shapes.
#[test]
fn refused_operands() {
    let (x, y) = (values([2, 3], 1), values([4], 2));
    for (name, refused) in [
        ("lerp", x.lerp(&y, 0.5).err()),
        ("lerp_tensor", x.lerp_tensor(&x, &y).err()),
        ("clamp_tensors", x.clamp_tensors(None, Some(&y)).err()),
        ("isclose", x.isclose(&y, 0.0, 0.0, false).err()),
        ("allclose", x.allclose(&y, 0.0, 0.0, false).err()),
        ("hypot", x.hypot(&y).err()),
        ("atan2", x.atan2(&y).err()),
        ("remainder", x.remainder(&y).err()),
    ] {
        let refused = refused.unwrap().to_string();
        assert!(refused.contains(name) && refused.contains("(2, 3)") && refused.contains("(4,)"), "{refused}");
    }
    let half = x.to_dtype(DType::F16).unwrap();
    let counts = x.to_dtype(DType::I64).unwrap();
    assert!(x.lerp(&half, 0.5).unwrap_err().to_string().contains("to_dtype"));
    for refused in [counts.lerp(&counts, 0.5), counts.nan_to_num(0.0, None, None), counts.glu(0), counts.erfinv()] {
        assert!(refused.unwrap_err().to_string().contains("i64"));
    }
}
