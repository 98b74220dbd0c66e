//! Convolution, pooling, normalization and resampling where inputs are odd: no samples, half types, planes of one element,
//! values that are not finite; and the mistakes that are found here.

use kiln_autograd::Var;
use kiln_math::UnaryOp;
use kiln_tensor::{ConvOptions, DType, Device, ErrorKind, Padding, PoolOptions, Result, Tensor};

/// An operation on x (N, 4, 5, 6), with parameters of x's dtype.
type Operation = fn(&Var) -> Result<Var>;

fn parameter(x: &Var, shape: &[usize]) -> Var {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count).map(|i| ((i * 7 + 3) % 11) as f64 / 8.0 - 0.5).collect();
    Var::variable(Tensor::from_slice(&values, shape, x.device()).unwrap().to_dtype(x.dtype()).unwrap())
}

const OPERATIONS: &[(&str, Operation)] = &[
    ("conv", |x| {
        let options = ConvOptions::new().stride(2).padding(Padding::Same).groups(2);
        x.conv(&parameter(x, &[6, 2, 3, 3]), Some(&parameter(x, &[6])), &options, Some(UnaryOp::Relu.into()))
    }),
    ("conv_transpose", |x| {
        let options = ConvOptions::new().stride(2).padding(1).output_padding(1);
        x.conv_transpose(&parameter(x, &[4, 3, 3, 2]), Some(&parameter(x, &[3])), &options)
    }),
    ("max_pool", |x| x.max_pool(&PoolOptions::new(3).stride(2).padding(1))),
    ("avg_pool", |x| x.avg_pool(&PoolOptions::new(3).stride(2).padding(1).ceil(true))),
    ("lp_pool", |x| x.square()?.lp_pool(3.0, &PoolOptions::new(2))),
    ("adaptive_avg_pool", |x| x.adaptive_avg_pool([3, 4])),
    ("adaptive_max_pool", |x| x.adaptive_max_pool([3, 4])),
    ("global_avg_pool", |x| x.global_avg_pool_keepdim()),
    ("global_max_pool", |x| x.global_max_pool()),
    ("batch_norm_with", |x| {
        let moments = parameter(x, &[2, 4]).square()?.into_tensor();
        x.batch_norm_with(&moments, Some(&parameter(x, &[4])), None, 1e-3, Some(UnaryOp::Tanh.into()))
    }),
    ("layer_norm", |x| x.layer_norm(2, Some(&parameter(x, &[5, 6])), Some(&parameter(x, &[5, 6])), 1e-3)),
    ("group_norm", |x| x.group_norm(2, Some(&parameter(x, &[4])), None, 1e-3)),
    ("instance_norm", |x| x.instance_norm(None, Some(&parameter(x, &[4])), 1e-3)),
    ("rms_norm", |x| x.rms_norm(1, Some(&parameter(x, &[6])), 1e-3)),
    ("local_response_norm", |x| x.local_response_norm(3, 0.5, 0.75, 1.0)),
    ("pad", |x| x.pad(&[(1, 2), (0, 1)], 1.5)),
    ("upsample_nearest", |x| x.upsample_nearest([10, 12])),
    ("upsample_nearest to any size", |x| x.upsample_nearest([3, 8])),
    ("upsample_bilinear", |x| x.upsample_bilinear([7, 9], true)),
    ("upsample_bicubic", |x| x.upsample_bicubic([7, 9], false)),
];

/// The value and the gradient of x of `operation`.
fn run(operation: Operation, x: Tensor) -> Result<(Tensor, Tensor)> {
    let x = Var::variable(x);
    let y = operation(&x)?;
    let gradients = y.sum_all()?.backward()?;
    Ok((y.into_tensor(), gradients.of(&x).unwrap().clone()))
}

fn image(dims: [usize; 4], dtype: DType) -> Tensor {
    let count: usize = dims.iter().product();
    // Multiples of 1/16 in an order of their own, all different: the half types hold them.
    let values: Vec<f64> = (0..count).map(|i| ((i * 37 + 5) % 127) as f64 / 16.0 - 4.0).collect();
    Tensor::from_slice(&values, dims, &Device::cpu()).unwrap().to_dtype(dtype).unwrap()
}

#[test]
fn no_samples() -> Result<()> {
    for (name, operation) in OPERATIONS {
        let (y, dx) = run(*operation, Tensor::zeros([0, 4, 5, 6], DType::F32, &Device::cpu())?)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let (one, _) = run(*operation, image([1, 4, 5, 6], DType::F32))?;
        assert_eq!((y.dims()[0], &y.dims()[1..]), (0, &one.dims()[1..]), "{name}");
        assert_eq!(dx.dims(), [0, 4, 5, 6], "{name}");
    }
    Ok(())
}

#[test]
fn half_types_are_close_to_doubles() -> Result<()> {
    for (name, operation) in OPERATIONS {
        let want = run(*operation, image([2, 4, 5, 6], DType::F64))?;
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F16, 1e-2), (DType::BF16, 8e-2)] {
            let got = run(*operation, image([2, 4, 5, 6], dtype))?;
            for (what, got, want) in [("value", &got.0, &want.0), ("gradient", &got.1, &want.1)] {
                assert_eq!((got.dtype(), got.shape()), (dtype, want.shape()), "{name}");
                let want = want.to_f64_vec()?;
                let size = want.iter().fold(1.0f64, |size, value| size.max(value.abs()));
                for (got, want) in got.to_f64_vec()?.iter().zip(want) {
                    assert!((got - want).abs() <= tolerance * size, "{name} {dtype} {what}: {got}, f64 gives {want}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn planes_of_one_element() -> Result<()> {
    let x = Var::variable(Tensor::from_slice(&[3.0f64, -2.0], [1, 2, 1, 1], &Device::cpu())?);
    let same = PoolOptions::new(3).stride(2).padding(Padding::Same);
    for y in [
        x.max_pool(&same)?,
        x.avg_pool(&same)?,
        x.adaptive_avg_pool(1)?,
        x.adaptive_max_pool(1)?,
        x.upsample_bilinear(1, true)?,
        x.upsample_bilinear(1, false)?,
        x.upsample_bicubic(1, false)?,
        x.upsample_nearest(1)?,
    ] {
        assert_eq!((y.dims(), y.tensor().to_f64_vec()?), (&[1, 2, 1, 1][..], vec![3.0, -2.0]));
        assert_eq!(y.square()?.sum_all()?.backward()?.of(&x).unwrap().to_f64_vec()?, [6.0, -4.0]);
    }
    let y = x.upsample_bilinear([2, 3], true)?;
    assert_eq!(y.tensor().to_f64_vec()?, [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, -2.0, -2.0, -2.0, -2.0, -2.0, -2.0]);
    // One value a channel: its own mean, of no variance.
    assert_eq!(x.batch_norm(None, None, 1e-5, None)?.0.tensor().to_f64_vec()?, [0.0, 0.0]);
    Ok(())
}

#[test]
fn what_is_not_finite_stays_in_its_windows() -> Result<()> {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let x = Var::variable(Tensor::from_slice(&[1.0, nan, 2.0, 3.0, -inf, 5.0, 7.0, 4.0], [1, 1, 8], &Device::cpu())?);
    let same = |y: Var, want: &[f64]| -> Result<()> {
        let got = y.tensor().to_f64_vec()?;
        let equal = got.iter().zip(want).all(|(a, b)| a == b || a.is_nan() && b.is_nan());
        assert!(equal && got.len() == want.len(), "{got:?}, expected {want:?}");
        Ok(())
    };
    same(x.max_pool(&PoolOptions::new(2))?, &[nan, 3.0, 5.0, 7.0])?;
    same(x.avg_pool(&PoolOptions::new(2))?, &[nan, 2.5, -inf, 5.5])?;
    same(x.global_max_pool()?, &[nan])?;
    same(x.adaptive_max_pool(4)?, &[nan, 3.0, 5.0, 7.0])?;
    same(x.adaptive_avg_pool(4)?, &[nan, 2.5, -inf, 5.5])?;
    same(x.upsample_nearest(4)?, &[1.0, 2.0, -inf, 7.0])?;
    let twice = x.upsample_nearest(16)?;
    same(twice, &[1.0, 1.0, nan, nan, 2.0, 2.0, 3.0, 3.0, -inf, -inf, 5.0, 5.0, 7.0, 7.0, 4.0, 4.0])?;
    same(x.adaptive_avg_pool(5)?, &[nan, nan, -inf, -inf, 5.5])?;
    same(x.upsample_bilinear(4, false)?, &[nan, 2.5, -inf, 5.5])?;
    let weight = Var::constant(Tensor::from_slice(&[1.0f64, 1.0], [1, 1, 2], &Device::cpu())?);
    let options = ConvOptions::new().stride(2);
    same(x.conv(&weight, None, &options, None)?, &[nan, 5.0, -inf, 11.0])?;
    Ok(())
}

#[test]
fn mistakes_have_their_sentences() {
    let x = Var::constant(image([2, 4, 5, 6], DType::F32));
    let flat = x.flatten(1).unwrap();
    let check = |result: Result<Var>, kind: ErrorKind, sentence: &str| {
        let error = result.map(|y| y.dims().to_vec()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (sentence, kind));
    };
    check(
        x.adaptive_avg_pool([0, 2]),
        ErrorKind::Value,
        "adaptive_avg_pool: size 0×2 is out of range: it must be 1 or more",
    );
    check(
        flat.global_avg_pool_keepdim(),
        ErrorKind::Shape,
        "global_avg_pool: an input (N, C, …) with one to three spatial axes is expected, got (2, 120)",
    );
    check(
        x.upsample_nearest([1, 2, 3]),
        ErrorKind::Shape,
        "upsample_nearest: size 1×2×3 is for 3 spatial axes, there are 2",
    );
    check(x.lp_pool(f64::NAN, &PoolOptions::new(2)), ErrorKind::Value, "lp_pool: p must be a number above 0, got NaN");
    check(
        x.avg_pool(&PoolOptions::new(7)),
        ErrorKind::Shape,
        "avg_pool: window 7×7 does not fit the 5×6 input of (2, 4, 5, 6); use Padding::Same or a smaller window",
    );
    check(
        x.group_norm(3, None, None, 1e-5),
        ErrorKind::Shape,
        "group_norm: the 4 channels of (2, 4, 5, 6) are not divisible by 3 groups",
    );
    let five = parameter(&x, &[5]);
    check(
        x.instance_norm(Some(&five), None, 1e-5),
        ErrorKind::Shape,
        "instance_norm: a weight or bias for (2, 4, 5, 6) has shape (4,), got (5,)",
    );
    check(
        x.layer_norm(2, None, Some(&five), 1e-5),
        ErrorKind::Shape,
        "layer_norm: a weight or bias for the last 2 axes of (2, 4, 5, 6) has shape (5, 6), got (5,)",
    );
    check(x.rms_norm(5, None, 1e-5), ErrorKind::Shape, "rms_norm: 5 axes of (2, 4, 5, 6) cannot be normalized");
    check(
        x.local_response_norm(0, 1.0, 1.0, 1.0),
        ErrorKind::Value,
        "local_response_norm: 0 neighboring channels of (2, 4, 5, 6): there must be 1 or more",
    );
    check(
        x.conv_transpose(&parameter(&x, &[4, 3, 2, 2]), Some(&five), &ConvOptions::new()),
        ErrorKind::Shape,
        "conv_transpose: a bias for 3 channels has shape (3,), got (5,)",
    );
}

/// An output_padding between stride and dilation; values of `torch.nn.functional.conv_transpose2d` and its gradients.
#[test]
fn output_padding_beyond_the_stride() {
    type Case<'a> = (ConvOptions, &'a [usize], &'a [f64], [&'a [f64]; 2]);
    let cases: [Case<'_>; 2] = [
        (
            ConvOptions::new().stride([1, 2]).dilation([3, 1]).padding([(0, 0), (1, 1)]).output_padding([2, 1]),
            &[1, 1, 7, 5],
            &[
                2.5, 2.5, 4.5, 3.5, 6.5, 8.5, 5.5, 10.5, 6.5, 12.5, 0.5, 0.5, 0.5, 0.5, 0.5, 4.5, 6.5, 8.5, 9.5, 12.5,
                16.5, 15.5, 20.5, 18.5, 24.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
            ],
            [&[60.0, 121.0, 141.0, 90.0, 171.0, 191.0], &[89.0, 125.0, 329.0, 440.0]],
        ),
        (
            ConvOptions::new().stride([1, 1]).dilation([3, 2]).padding([(1, 1), (0, 0)]).output_padding([2, 1]),
            &[1, 1, 5, 6],
            &[
                4.5, 5.5, 14.5, 10.5, 12.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 3.5, 6.5, 13.5, 8.5, 12.5, 0.5, 12.5,
                15.5, 34.5, 20.5, 24.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
            ],
            [&[92.0, 99.0, 106.0, 138.0, 148.0, 158.0], &[17.0, 47.0, 367.0, 409.0]],
        ),
    ];
    let cpu = Device::cpu();
    let tensor = |values: &[f64], shape: &[usize]| Tensor::from_slice(values, shape, &cpu).unwrap();
    let values: Vec<f64> = (1..=6).map(f64::from).collect();
    for (options, shape, expected, gradients) in cases {
        let x = Var::variable(tensor(&values, &[1, 1, 2, 3]));
        let weight = Var::variable(tensor(&values[..4], &[1, 1, 2, 2]));
        let y = x.conv_transpose(&weight, Some(&Var::constant(tensor(&[0.5], &[1]))), &options).unwrap();
        assert_eq!((y.dims(), y.tensor().to_f64_vec().unwrap().as_slice()), (shape, expected));
        let alone = x.tensor().conv_transpose(weight.tensor(), &options).unwrap().add_scalar(0.5).unwrap();
        assert_eq!(alone.to_f64_vec().unwrap(), expected);
        let slopes: Vec<f64> = (0..expected.len()).map(|i| i as f64).collect();
        let loss = y.mul(&Var::constant(tensor(&slopes, shape))).unwrap().sum_all().unwrap();
        let found = loss.backward().unwrap();
        for (var, expected) in [&x, &weight].into_iter().zip(gradients) {
            assert_eq!(found.of(var).unwrap().to_f64_vec().unwrap(), expected, "{options:?}");
        }
    }
}
