//! Every operation of the list and its derivative over all of f32, against formulas of their own in f64.
//!
//! The quick test takes a sample of all bit patterns and everything beside the points where something changes. The whole of
//! f32 takes hours: `cargo test --release -p kiln-math --test all range -- --ignored`, with `OPERATION=gelu` for one of them.

use crate::reference::{Bound, E, Reference, references, unit};
use kiln_math::{BinaryOp, UnaryOp, Unfused};

/// Points where a function, its derivative or its way of computing changes, beside the ends of what f32 can hold.
const SPECIAL: &[f32] = &[
    0.0,
    1e-45,
    f32::MIN_POSITIVE,
    2.938_736e-39, // 1/x overflows below
    1e-30,
    1.084_202_2e-19, // x² underflows below
    6e-8,
    1e-7,
    3.452_669_7e-4,
    0.25,
    0.346_573_6,
    0.5,
    0.625,
    std::f32::consts::FRAC_1_SQRT_2,
    std::f32::consts::LN_2,
    0.751_791_5, // the least value of GELU
    0.927_734_4,
    1.0,
    1.192_5,     // of mish
    1.278_464_6, // of SiLU
    std::f32::consts::SQRT_2,
    std::f32::consts::FRAC_PI_2,
    2.0,
    2.5,
    3.0,
    std::f32::consts::PI,
    4.0,
    5.656_854_4,
    6.0,
    7.0,
    8.3,
    9.010_913,
    10.054,
    13.0,
    14.1,
    16.635_532,
    17.328_68,
    18.0,
    30.0,
    36.736_8,
    44.361_42, // e^(2x) overflows above
    87.336_54,
    88.0,
    88.722_84, // eˣ overflows above
    88.8,
    89.415_99, // and (eˣ)/2 here
    90.0,
    103.278_93,
    103.972_08,
    106.0,
    4096.0,
    8_388_608.0,
    16_777_216.0,
    1.844_674_3e19, // x² overflows above
    6.981e12,       // and x³ here
    f32::MAX,
];

fn beside(points: &[f32]) -> impl Iterator<Item = f32> + '_ {
    points.iter().flat_map(|x| {
        (-200i32..200).flat_map(move |i| {
            let y = f32::from_bits((x.to_bits() as i32).wrapping_add(i).max(0) as u32);
            [y, -y]
        })
    })
}

/// The error of `y` in terms of what is allowed: at most 1. Infinite where one is NaN or overflows and the other does not.
fn excess(y: f32, exact: f64, bound: Bound, top: f64) -> f64 {
    if y.is_nan() || exact.is_nan() {
        return if y.is_nan() == exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // Infinity counts as the next power of two, so that it may come a few units early or late.
    let clip = |x: f64| x.clamp(-top, top);
    (clip(f64::from(y)) - clip(exact)).abs() / (bound.units * unit(exact) + bound.absolute)
}

/// The worst value and the worst derivative of an operation over some numbers, as (excess, x).
fn worst(reference: &Reference, fused: bool, numbers: impl Iterator<Item = f32>) -> [(f64, f32); 2] {
    let (op, params) = (reference.op, reference.params);
    let single = params.map(|p| p as f32);
    let mut worst = [(0.0, 0.0); 2];
    // Without a fused multiply-add, rounding is coarser, and angles are reduced to a few thousand.
    let range = if fused || reference.range == f32::MAX { reference.range } else { 8e3 };
    let bound = |b: Bound| if fused { b } else { Bound { units: 2.0 * b.units, absolute: b.absolute + E } };
    let (value, slope_bound) = (bound(reference.value), bound(reference.slope));
    for x in numbers.filter(|x| x.is_finite() && x.abs() <= range) {
        let (y, slope) = if fused {
            let y = op.f(x, single);
            (y, op.df(x, y, single))
        } else {
            let (x, single) = (Unfused(x), single.map(Unfused));
            let y = op.f(x, single);
            (y.0, op.df(x, y, single).0)
        };
        let exact = [(reference.f)(x.into(), params), (reference.df)(x.into(), params)];
        for (worst, (y, exact, bound)) in worst.iter_mut().zip([(y, exact[0], value), (slope, exact[1], slope_bound)]) {
            let error = excess(y, exact, bound, reference.top);
            if error > worst.0 {
                *worst = (error, x);
            }
        }
    }
    worst
}

fn check(reference: &Reference, fused: bool, worst: [(f64, f32); 2], failures: &mut Vec<String>) {
    let Reference { op, params, .. } = reference;
    let single = params.map(|p| p as f32);
    for (what, bound, (error, x)) in [("value", reference.value, worst[0]), ("derivative", reference.slope, worst[1])] {
        if std::env::var_os("PRINT_ERRORS").is_some() {
            println!("{} {params:?} {what} fused {fused}: {error:.2} of {bound:?} at {x:e}", op.name());
        }
        if error > 1.0 {
            let y = op.f(x, single);
            let (found, exact) = if what == "value" {
                (y, (reference.f)(x.into(), *params))
            } else {
                (op.df(x, y, single), (reference.df)(x.into(), *params))
            };
            failures.push(format!(
                "{} of {params:?}, {what} at {x:e}: {found:e}, exactly {exact:e}; {error:.2} times what is allowed, {bound:?}",
                op.name()
            ));
        }
    }
}

/// Near the ends of f64 the same formulas hold.
#[test]
fn f64_near_overflow_and_underflow() {
    let cases: &[(UnaryOp, f64, f64, f64)] = &[
        // operation, x, value, derivative
        (UnaryOp::Cosh, 710.0, 710f64.cosh(), 710f64.sinh()),
        (UnaryOp::Cosh, -1e-200, 1.0, -1e-200),
        (UnaryOp::Sinh, -710.4, (-710.4f64).sinh(), 710.4f64.cosh()),
        (UnaryOp::Softsign, 1e160, 1.0, 1e-320),
        (UnaryOp::GeluTanh, 1e200, 1e200, 1.0),
        (UnaryOp::GeluTanh, -1e200, 0.0, 0.0),
        (UnaryOp::Gelu, 1e200, 1e200, 1.0),
        (UnaryOp::Gelu, -1e200, 0.0, 0.0),
        (UnaryOp::Erf, 1e200, 1.0, 0.0),
        (UnaryOp::Erf, 26.0, 1.0, std::f64::consts::FRAC_2_SQRT_PI * (-676f64).exp()),
        (UnaryOp::Silu, -740.0, -740.0 * (-740f64).exp(), -739.0 * (-740f64).exp()),
        (UnaryOp::Mish, 1e300, 1e300, 1.0),
        (UnaryOp::Rsqrt, 5e-324, 1.0 / 5e-324f64.sqrt(), f64::NEG_INFINITY),
        (UnaryOp::HardSwish, 1e308, 1e308, 1.0),
    ];
    for &(op, x, value, slope) in cases {
        let y = op.f(x, [0.0; 2]);
        let found = (y, op.df(x, y, [0.0; 2]));
        for (found, exact) in [(found.0, value), (found.1, slope)] {
            let near = (found - exact).abs() <= 8.0 * f64::EPSILON * exact.abs() + 1e-321;
            assert!(near || found == exact, "{}({x:e}): {found:e}, exactly {exact:e}", op.name());
        }
    }
}

/// Derivatives beyond every finite number: limits, not ∞·0.
#[test]
fn derivatives_at_infinity() {
    let inf = f32::INFINITY;
    for (op, low, high) in [
        (UnaryOp::Gelu, 0.0, 1.0),
        (UnaryOp::GeluTanh, 0.0, 1.0),
        (UnaryOp::Erf, 0.0, 0.0),
        (UnaryOp::Softsign, 0.0, 0.0),
        (UnaryOp::Softplus, 0.0, 1.0),
        (UnaryOp::LogSigmoid, 1.0, 0.0),
        (UnaryOp::Tanh, 0.0, 0.0),
        (UnaryOp::Sigmoid, 0.0, 0.0),
        (UnaryOp::Sinh, inf, inf),
        (UnaryOp::Cosh, -inf, inf),
        (UnaryOp::HardSwish, 0.0, 1.0),
    ] {
        let slope = |x: f32| op.df(x, op.f(x, [0.0; 2]), [0.0; 2]);
        assert_eq!((slope(-inf), slope(inf)), (low, high), "{}", op.name());
    }
}

const ENDS: [f32; 28] = [
    0.0,
    -0.0,
    1e-45,
    -1e-42,
    1e-40,
    1.175_494_4e-38,
    -3e-38,
    1e-30,
    1e-20,
    -1e-19,
    1e-10,
    -1e-3,
    0.3,
    0.5,
    0.999_999_94,
    1.0,
    -1.0,
    1.000_000_1,
    2.0,
    -3.0,
    2.5,
    30.0,
    88.0,
    1e4,
    -1e10,
    1e19,
    1e30,
    -3.4e38,
];

/// Pairs of numbers of all sizes: each operation and both its derivatives against f64.
#[test]
fn binary_operations_over_the_range_of_f32() {
    type Exact = fn(f64, f64) -> [f64; 3];
    let cases: [(BinaryOp, Exact); 5] = [
        (BinaryOp::Add, |a, b| [a + b, 1.0, 1.0]),
        (BinaryOp::Sub, |a, b| [a - b, 1.0, -1.0]),
        (BinaryOp::Mul, |a, b| [a * b, b, a]),
        (BinaryOp::Div, |a, b| [a / b, 1.0 / b, -a / b / b]),
        (BinaryOp::Pow, |a, b| {
            let by_exponent = if a == 0.0 && b >= 0.0 { 0.0 } else { a.powf(b) * a.ln() };
            [a.powf(b), if b == 0.0 { 0.0 } else { b * a.powf(b - 1.0) }, by_exponent]
        }),
    ];
    for (op, exact) in cases {
        for (a, b) in ENDS.into_iter().flat_map(|a| ENDS.map(|b| (a, b))) {
            // Whether b − 1 is an odd integer may be beyond f32, and its rounding shows where a is large or small.
            let power = op == BinaryOp::Pow;
            if power && a.is_sign_negative() && (b.fract() != 0.0 || b.abs() > 16_777_216.0) {
                continue;
            }
            let y = op.f(a, b);
            let slopes = op.df(a, b, y);
            let exact = exact(a.into(), b.into());
            // A derivative made of the quotient or power is as far off as that is below the normal numbers; and where one
            // factor of it overflows, the other can be small.
            let least = 2f64.powi(-149);
            let scale = if op == BinaryOp::Div { 1.0 / f64::from(b).abs() } else { f64::from(a).abs().ln().abs() };
            let scale = if scale.is_finite() { scale } else { 1.0 };
            let top = if op == BinaryOp::Pow { 2f64.powi(128) * f64::from(b).abs().min(1.0) } else { 2f64.powi(128) };
            for (which, found, exact, bound, top) in [
                ("value", y, exact[0], Bound { units: 0.6, absolute: 0.0 }, 2f64.powi(128)),
                ("along a", slopes.0, exact[1], Bound { units: if power { 50.0 } else { 2.0 }, absolute: least }, top),
                ("along b", slopes.1, exact[2], Bound { units: 3.0, absolute: least * (1.0 + scale) }, top),
            ] {
                let error = excess(found, exact, bound, top);
                assert!(error <= 1.0, "{} of {a:e}, {b:e}, {which}: {found:e}, exactly {exact:e}: {error}", op.name());
            }
        }
    }
}

#[test]
fn every_operation_has_a_reference() {
    let references = references();
    for op in UnaryOp::ALL {
        assert!(references.iter().any(|reference| reference.op == *op), "{}", op.name());
    }
}

#[test]
fn values_and_derivatives_over_the_range_of_f32() {
    let mut failures = Vec::new();
    for reference in references() {
        for (fused, stride) in [(true, 40_009), (false, 200_017)] {
            let numbers = (0..u32::MAX).step_by(stride).map(f32::from_bits).chain(beside(SPECIAL));
            let worst = worst(&reference, fused, numbers);
            check(&reference, fused, worst, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}\n{} failures", failures.join("\n"), failures.len());
}

#[test]
#[ignore = "all of f32, for each operation: hours"]
fn values_and_derivatives_of_all_of_f32() {
    let stride = std::env::var("STRIDE").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let only = std::env::var("OPERATION").ok();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failures = Vec::new();
    for reference in references() {
        if only.as_ref().is_some_and(|only| only != reference.op.name()) {
            continue;
        }
        let parts: Vec<_> = std::thread::scope(|scope| {
            let reference = &reference;
            let part = |t| {
                let numbers = (t as u32..=u32::MAX).step_by(threads * stride).map(f32::from_bits);
                scope.spawn(move || worst(reference, true, numbers))
            };
            (0..threads).map(part).collect::<Vec<_>>().into_iter().filter_map(|t| t.join().ok()).collect()
        });
        assert_eq!(parts.len(), threads);
        let larger = |a: (f64, f32), b: (f64, f32)| if a.0 > b.0 { a } else { b };
        let all = parts.into_iter().fold([(0.0, 0.0); 2], |a, b| [larger(a[0], b[0]), larger(a[1], b[1])]);
        check(&reference, true, all, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
