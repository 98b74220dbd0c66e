//! Random tensors: distributed as they say (Kolmogorov and Smirnov's statistic, moments, χ²), and what is refused. The streams are
//! fixed, so that a failure comes back.

use half::f16;
use kiln_math::{Law, Purpose, RandomStream, Real};
use kiln_tensor::{DType, Device, Result, Tensor};

const N: usize = 20_000;

fn stream(index: u64) -> RandomStream {
    RandomStream::new(11, Purpose::Data, index)
}

/// The largest distance of the numbers' distribution from `below(x)`, times √n: above 1.95 once in a thousand streams.
#[track_caller]
fn distributed(x: &Tensor, below: impl Fn(f64) -> f64) {
    let mut values = x.to_f64_vec().unwrap();
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let distance = |(i, &x): (usize, &f64)| {
        let expected = below(x);
        ((i + 1) as f64 / n - expected).max(expected - i as f64 / n)
    };
    let largest = values.iter().enumerate().map(distance).fold(0.0, f64::max);
    assert!(largest * n.sqrt() < 1.95, "{}", largest * n.sqrt());
}

/// Mean and variance, to five standard errors; `fourth` is the fourth central moment.
#[track_caller]
fn moments(x: &Tensor, mean: f64, variance: f64, fourth: f64) {
    let values = x.to_f64_vec().unwrap();
    let n = values.len() as f64;
    let seen = values.iter().sum::<f64>() / n;
    assert!((seen - mean).abs() < 5.0 * (variance / n).sqrt(), "mean {seen}, expected {mean}");
    let spread = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let error = ((fourth - variance * variance) / n).sqrt();
    assert!((spread - variance).abs() < 5.0 * error, "variance {spread}, expected {variance}");
}

/// Σ (seen − expected)² / expected, for counts of which none is expected to be below 5.
fn chi_square(seen: &[f64], probabilities: &[f64]) -> f64 {
    let n: f64 = seen.iter().sum();
    seen.iter().zip(probabilities).map(|(seen, p)| (seen - n * p).powi(2) / (n * p)).sum()
}

fn ln_gamma(x: f64) -> f64 {
    // Stirling's series, where it is good.
    if x < 12.0 {
        return ln_gamma(x + 1.0) - x.ln();
    }
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
}

/// The distribution function of a gamma distribution of rate 1: its power series.
fn gamma_below(concentration: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0 / concentration, 1.0 / concentration);
    let mut k = concentration;
    while term > 1e-15 * sum {
        k += 1.0;
        term *= x / k;
        sum += term;
    }
    sum * (concentration * x.ln() - x - ln_gamma(concentration)).exp()
}

/// The distribution function of a beta distribution: its density added up.
fn beta_below(a: f64, b: f64, x: f64) -> f64 {
    // In t = ln(x/(1 − x)), where the density has no poles.
    let scale = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let density = |t: f64| (scale - a * (-t).exp().ln_1p() - b * t.exp().ln_1p()).exp();
    let (low, high) = (-200.0 / a.min(1.0) / 5.0, (x / (1.0 - x)).ln());
    let steps = 4000;
    let width = (high - low) / f64::from(steps);
    (0..steps).map(|i| density(low + width * (f64::from(i) + 0.5)) * width).sum()
}

fn normal_below(z: f64) -> f64 {
    0.5 * (1.0 + Real::erf(z / std::f64::consts::SQRT_2))
}

#[test]
fn uniform_and_normal_numbers_of_every_float_type() {
    let cpu = Device::cpu();
    for (index, dtype) in [DType::F32, DType::F64, DType::F16, DType::BF16].into_iter().enumerate() {
        let uniform = Tensor::uniform([N], -1.0, 3.0, dtype, &cpu, stream(index as u64)).unwrap();
        assert_eq!(uniform.dtype(), dtype);
        moments(&uniform, 1.0, 16.0 / 12.0, 3.2);
        let normal = Tensor::normal([N], 0.5, 2.0, dtype, &cpu, stream(index as u64)).unwrap();
        moments(&normal, 0.5, 4.0, 48.0);
        if dtype.computed_in() == dtype {
            distributed(&uniform, |x| (x + 1.0) / 4.0);
            distributed(&normal, |x| normal_below((x - 0.5) / 2.0));
        }
    }
    // Half types are the numbers of f32, rounded once.
    let f32s = Tensor::normal([50], 0.0, 1.0, DType::F32, &cpu, stream(7)).unwrap().to_vec::<f32>().unwrap();
    let halves = Tensor::normal([50], 0.0, 1.0, DType::F16, &cpu, stream(7)).unwrap().to_vec::<f16>().unwrap();
    assert_eq!(halves, f32s.into_iter().map(f16::from_f32).collect::<Vec<_>>());
}

#[test]
fn exponential_numbers() {
    let x = Tensor::exponential([N], 2.5, DType::F64, &Device::cpu(), stream(20)).unwrap();
    distributed(&x, |x| 1.0 - (-2.5 * x).exp());
    moments(&x, 0.4, 0.16, 9.0 * 0.4f64.powi(4));
    assert!(x.to_f64_vec().unwrap().into_iter().all(|x| x > 0.0));
}

#[test]
fn gamma_numbers() {
    for (index, (concentration, rate)) in
        [(0.05, 1.0), (0.3, 2.0), (1.0, 1.0), (4.5, 0.5), (300.0, 10.0)].into_iter().enumerate()
    {
        let x = Tensor::gamma([N], concentration, rate, DType::F64, &Device::cpu(), stream(30 + index as u64)).unwrap();
        distributed(&x, |x| gamma_below(concentration, rate * x));
        let variance = concentration / (rate * rate);
        moments(&x, concentration / rate, variance, variance * variance * (3.0 + 6.0 / concentration));
    }
}

#[test]
fn beta_numbers() {
    for (index, (a, b)) in [(0.5, 0.5), (2.0, 5.0), (1.0, 1.0), (30.0, 4.0)].into_iter().enumerate() {
        let x = Tensor::beta([2000], a, b, DType::F64, &Device::cpu(), stream(40 + index as u64)).unwrap();
        distributed(&x, |x| beta_below(a, b, x));
    }
    // Both gammas are 0 in f64 here; the number is not NaN.
    let extreme = Tensor::beta([2000], 1e-4, 1e-4, DType::F64, &Device::cpu(), stream(45)).unwrap();
    assert!(extreme.to_f64_vec().unwrap().into_iter().all(|x| (0.0..=1.0).contains(&x)));
    moments(&extreme, 0.5, 0.25, 0.0626);
}

#[test]
fn poisson_numbers() {
    for (index, mean) in [0.3, 4.0, 9.99, 10.0, 35.0, 1000.0].into_iter().enumerate() {
        let x = Tensor::poisson([N], mean, DType::I64, &Device::cpu(), stream(50 + index as u64)).unwrap();
        moments(&x, mean, mean, mean + 3.0 * mean * mean);
        // The counts of each number, those at either end together.
        let low = (mean - 3.0 * mean.sqrt()).floor().max(0.0);
        let high = (mean + 3.0 * mean.sqrt()).ceil();
        let probability = |k: f64| (k * mean.ln() - mean - ln_gamma(k + 1.0)).exp();
        let bins = (high - low) as usize + 1;
        let mut seen = vec![0.0; bins];
        for k in x.to_f64_vec().unwrap() {
            seen[(k.clamp(low, high) - low) as usize] += 1.0;
        }
        let mut expected: Vec<f64> = (0..bins).map(|i| probability(low + i as f64)).collect();
        expected[0] += (0..low as usize).map(|k| probability(k as f64)).sum::<f64>();
        let rest: f64 = 1.0 - expected[..bins - 1].iter().sum::<f64>();
        expected[bins - 1] = rest;
        let statistic = chi_square(&seen, &expected);
        let degrees = bins as f64 - 1.0;
        assert!(statistic < degrees + 4.0 * (2.0 * degrees).sqrt() + 8.0, "{mean}: {statistic} of {degrees}");
    }
    assert_eq!(
        Tensor::poisson([5], 0.0, DType::U8, &Device::cpu(), stream(60)).unwrap().to_vec::<u8>().unwrap(),
        [0; 5]
    );
}

#[test]
fn truncated_normal_numbers() {
    let infinity = f64::INFINITY;
    let ends = [
        (-2.0, 2.0),
        (-infinity, infinity),
        (-0.3, 0.9),
        (0.5, 0.6),
        (3.0, infinity),
        (-infinity, -2.0),
        (2.0, 2.5),
        (-5.0, -1.0),
        (-0.1, 8.0),
    ];
    for (index, (low, high)) in ends.into_iter().enumerate() {
        let (mean, std) = (1.0, 2.0);
        let bounds = [mean + std * low, mean + std * high];
        let x =
            Tensor::truncated_normal([N], [mean, std], bounds, DType::F64, &Device::cpu(), stream(70 + index as u64))
                .unwrap();
        let [least, all] = [normal_below(low), normal_below(high) - normal_below(low)];
        distributed(&x, |x| (normal_below((x - mean) / std) - least) / all);
        assert!(x.to_f64_vec().unwrap().into_iter().all(|x| bounds[0] <= x && x <= bounds[1]));
    }
    // Far out, where the distribution function is no use: an exponential tail of mean 1/30 or so.
    let x =
        Tensor::truncated_normal([N], [0.0, 1.0], [30.0, infinity], DType::F64, &Device::cpu(), stream(80)).unwrap();
    distributed(&x, |x| 1.0 - (-30.0 * (x - 30.0) - 0.5 * (x - 30.0).powi(2)).exp());
}

#[test]
fn bernoulli_integers_and_permutations() {
    let cpu = Device::cpu();
    let heads = Tensor::bernoulli([N], 0.3, DType::Bool, &cpu, stream(90)).unwrap().sum(0).unwrap().item().unwrap();
    assert!((heads - 0.3 * N as f64).abs() < 330.0, "{heads}");
    for (p, want) in [(0.0, 0.0), (1.0, N as f64)] {
        let ones = Tensor::bernoulli([N], p, DType::F32, &cpu, stream(91)).unwrap();
        assert_eq!(ones.sum(0).unwrap().item().unwrap(), want);
    }
    let p = Tensor::from_slice(&[0.1f32, 0.9], [2, 1], &cpu).unwrap().broadcast_to([2, N]).unwrap();
    let means = Tensor::sample(Law::Bernoulli, &[&p], stream(92)).unwrap().mean(1).unwrap().to_vec::<f32>().unwrap();
    assert!((means[0] - 0.1).abs() < 0.011 && (means[1] - 0.9).abs() < 0.011, "{means:?}");

    let dice = Tensor::randint([N], -3, 4, DType::I8, &cpu, stream(93)).unwrap().to_vec::<i8>().unwrap();
    let mut seen = [0.0; 7];
    dice.iter().for_each(|&eyes| seen[(eyes + 3) as usize] += 1.0);
    assert!(chi_square(&seen, &[1.0 / 7.0; 7]) < 26.0, "{seen:?}");
    let all = Tensor::randint([N], i64::MIN, i64::MAX, DType::I64, &cpu, stream(94)).unwrap();
    distributed(&all, |x| x / 2f64.powi(64) + 0.5);
    // A third of the 64-bit words would come up twice as often without rejection.
    let third = Tensor::randint([N], 0, 3 << 61, DType::I64, &cpu, stream(95)).unwrap();
    distributed(&third, |x| x / (3u64 << 61) as f64);

    let mut order = Tensor::permutation(100, &cpu, stream(96)).unwrap().to_vec::<i64>().unwrap();
    assert_ne!(order, (0..100).collect::<Vec<i64>>());
    order.sort_unstable();
    assert_eq!(order, (0..100).collect::<Vec<i64>>());
}

/// How often each class was drawn.
fn counted(drawn: &Tensor, classes: usize) -> Vec<f64> {
    let mut seen = vec![0.0; classes];
    drawn.to_vec::<i64>().unwrap().into_iter().for_each(|class| seen[class as usize] += 1.0);
    seen
}

#[test]
fn categorical_and_multinomial_draws() {
    let (cpu, weights) = (Device::cpu(), [0.1f32, 0.0, 0.6, 0.25, 0.05]);
    let present = |seen: &[f64]| [seen[0], seen[2], seen[3], seen[4]];
    let p = Tensor::from_slice(&weights, [5], &cpu).unwrap();
    let logits = p.ln().unwrap().add_scalar(-3.0).unwrap().broadcast_to([N, 5]).unwrap();
    let drawn = logits.categorical(stream(100)).unwrap();
    assert_eq!(drawn.dims(), [N]);
    let seen = counted(&drawn, 5);
    assert_eq!(seen[1], 0.0);
    assert!(chi_square(&present(&seen), &[0.1, 0.6, 0.25, 0.05]) < 18.0, "{seen:?}");
    let halves = p.mul_scalar(7.0).unwrap().to_dtype(DType::BF16).unwrap();
    let seen = counted(&halves.multinomial(N, true, stream(101)).unwrap(), 5);
    assert_eq!(seen[1], 0.0);
    assert!(chi_square(&present(&seen), &[0.1, 0.6, 0.25, 0.05]) < 25.0, "{seen:?}");

    // Without replacement: all different; the first as weighted, the second among what is left.
    let pairs = p.broadcast_to([N, 5]).unwrap().multinomial(2, false, stream(102)).unwrap();
    assert_eq!(pairs.dims(), [N, 2]);
    let seen = counted(&pairs.index(1, 0).unwrap(), 5);
    assert!(chi_square(&present(&seen), &[0.1, 0.6, 0.25, 0.05]) < 18.0, "{seen:?}");
    let mut both = [0.0; 25];
    for pair in pairs.to_vec::<i64>().unwrap().chunks(2) {
        assert_ne!(pair[0], pair[1]);
        both[(pair[0] * 5 + pair[1]) as usize] += 1.0;
    }
    let pairs: Vec<(usize, f64)> = [0usize, 2, 3, 4]
        .into_iter()
        .flat_map(|a| [0usize, 2, 3, 4].map(|b| (a, b)))
        .filter(|(a, b)| a != b)
        .map(|(a, b)| (a * 5 + b, f64::from(weights[a]) * f64::from(weights[b]) / (1.0 - f64::from(weights[a]))))
        .collect();
    let seen: Vec<f64> = pairs.iter().map(|&(at, _)| both[at]).collect();
    let expected: Vec<f64> = pairs.iter().map(|&(_, p)| p).collect();
    assert!(chi_square(&seen, &expected) < 32.0, "{seen:?}");
    assert_eq!(p.multinomial(0, false, stream(103)).unwrap().dims(), [0]);
}

#[test]
fn parameters_may_be_tensors() {
    let cpu = Device::cpu();
    let a = Tensor::from_slice(&[2.0f64, 50.0], [2, 1], &cpu).unwrap().broadcast_to([2, N]).unwrap();
    let b = Tensor::from_slice(&[0.5f64], [1], &cpu).unwrap();
    let x = Tensor::sample(Law::Gamma, &[&a, &b], stream(110)).unwrap();
    moments(&x.index(0, 0).unwrap(), 4.0, 8.0, 64.0 * 6.0);
    moments(&x.index(0, 1).unwrap(), 100.0, 200.0, 40_000.0 * 3.12);
    let wrong = Tensor::from_slice(&[-1.0f32, f32::NAN, f32::INFINITY, 1.0], [4], &cpu).unwrap();
    let drawn = Tensor::sample(Law::Poisson, &[&wrong], stream(111)).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(drawn.iter().map(|x| x.is_nan()).collect::<Vec<_>>(), [true, true, true, false]);
}

#[test]
fn what_makes_no_distribution_is_refused() {
    let (cpu, f32s) = (Device::cpu(), DType::F32);
    let sentence = |result: Result<Tensor>| result.unwrap_err().to_string();
    let s = stream(0);
    let cases = [
        (Tensor::bernoulli([2], 1.5, f32s, &cpu, s), "bernoulli: a probability from 0 to 1 is expected, got 1.5"),
        (Tensor::exponential([2], 0.0, f32s, &cpu, s), "exponential: a finite rate above 0 is expected, got 0"),
        (
            Tensor::gamma([2], -1.0, 1.0, f32s, &cpu, s),
            "gamma: a finite concentration and rate above 0 are expected, got -1 and 1",
        ),
        (
            Tensor::beta([2], 1.0, f64::NAN, f32s, &cpu, s),
            "beta: two finite concentrations above 0 are expected, got 1 and NaN",
        ),
        (Tensor::poisson([2], -1.0, f32s, &cpu, s), "poisson: a finite rate of 0 or more is expected, got -1"),
        (
            Tensor::poisson([2], 1.0, DType::Bool, &cpu, s),
            "poisson: dtype bool is not supported; it takes numbers: convert with `to_dtype`",
        ),
        (
            Tensor::truncated_normal([2], [0.0, 1.0], [1.0, -1.0], f32s, &cpu, s),
            "truncated_normal: there are no numbers from 1 to -1 standard deviations",
        ),
        (
            Tensor::truncated_normal([2], [0.0, 0.0], [1.0, 2.0], f32s, &cpu, s),
            "truncated_normal: a finite mean and a finite standard deviation above 0 are expected, got 0 and 0",
        ),
        (
            Tensor::gamma([2], 1.0, 1.0, DType::I64, &cpu, s),
            "gamma: dtype i64 is not supported; it takes f32, f64, f16 or bf16: convert with `to_dtype`",
        ),
        (Tensor::randint([2], 3, 3, DType::I64, &cpu, s), "randint: there is no integer from 3 to below 3"),
        (
            Tensor::randint([2], 0, 300, DType::U8, &cpu, s),
            "randint: u8 does not hold all integers from 0 to 299: choose a wider dtype",
        ),
    ];
    for (result, want) in cases {
        assert_eq!(sentence(result), want);
    }
    let p = Tensor::from_slice(&[0.5f32, 0.0, -1.0, f32::NAN], [2, 2], &cpu).unwrap();
    assert_eq!(sentence(Tensor::sample(Law::Beta, &[&p], s)), "beta: it has 2 parameters, got 1");
    assert_eq!(
        sentence(p.multinomial(3, false, s)),
        "multinomial: 3 draws without replacement are more than the 2 classes of (2, 2)"
    );
    assert_eq!(
        sentence(p.multinomial(1, true, s)),
        "multinomial: row 1 has the weight -1, expected finite numbers of 0 or more"
    );
    assert_eq!(
        sentence(p.slice(0, 0..1).unwrap().multinomial(2, false, s)),
        "multinomial: row 0 has 1 weights above 0, at least 2 are needed"
    );
    let none = Tensor::zeros([2, 0], f32s, &cpu).unwrap();
    assert_eq!(sentence(none.categorical(s)), "categorical: rows of classes (…, classes) are expected, got (2, 0)");
}

#[test]
fn the_shorter_side_of_an_orthogonal_matrix_is_orthonormal() {
    for dims in [[1, 1], [5, 5], [12, 3], [3, 12], [512, 128]] {
        let w = Tensor::orthogonal(dims, DType::F64, &Device::cpu(), stream(1)).unwrap();
        let product = if dims[0] > dims[1] { w.t().unwrap().matmul(&w) } else { w.matmul(&w.t().unwrap()) };
        let product = product.unwrap();
        let n = product.dims()[0];
        for (i, x) in product.to_vec::<f64>().unwrap().into_iter().enumerate() {
            let expected = if i / n == i % n { 1.0 } else { 0.0 };
            assert!((x - expected).abs() < 1e-13, "{dims:?} {i}: {x}");
        }
    }
    let empty = Tensor::orthogonal([0, 4], DType::F32, &Device::cpu(), stream(1)).unwrap();
    assert_eq!(empty.elements(), 0);
    let half = Tensor::orthogonal([2, 4], DType::F16, &Device::cpu(), stream(1)).unwrap();
    assert_eq!(half.dtype(), DType::F16);
    let error = Tensor::orthogonal([2, 4], DType::I32, &Device::cpu(), stream(1)).unwrap_err();
    assert!(error.to_string().contains("orthogonal"), "{error}");
}
