//! The elementary functions against the standard library, with the bounds that their documentation states.

use kiln_math::{Real, Unfused};

/// The unit of the last place of a float with `bits` of mantissa and the least exponent `low`, at `exact`.
fn unit(exact: f64, bits: i32, low: i32) -> f64 {
    let exponent = ((exact.abs().to_bits() >> 52) as i32 - 1023).max(low);
    // In two factors: the unit of the smallest numbers is itself below the smallest normal number.
    2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2 - bits)
}

/// erf by its series, or by the continued fraction of erfc: slow, and off by a few units of the last place of f64.
fn erf_reference(x: f64) -> f64 {
    let a = x.abs();
    let y = if a.is_nan() {
        a
    } else if a < 1.0 {
        // Σ (−1)ⁿ x²ⁿ / (n! (2n + 1)), from the smallest term up
        let mut factorial: f64 = (1..=25u32).map(f64::from).product();
        let mut sum = 0.0;
        for n in (0..=25u32).rev() {
            sum = 1.0 / (factorial * f64::from(2 * n + 1)) - a * a * sum;
            factorial /= f64::from(n.max(1));
        }
        std::f64::consts::FRAC_2_SQRT_PI * sum * a
    } else {
        let mut fraction = a;
        for k in (1..=300).rev() {
            fraction = a + f64::from(k) * 0.5 / fraction;
        }
        if a > 6.0 { 1.0 } else { 1.0 - (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt()) }
    };
    y.copysign(x)
}

fn sigmoid_reference(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

/// Bit patterns spread over all of f32, and those around the points where something changes.
fn singles() -> impl Iterator<Item = f32> {
    let special = [
        0.0,
        1.0,
        0.5,
        0.625,
        0.927_734_4,
        4.0,
        88.722_84,
        88.8,
        103.97,
        87.33,
        17.3,
        0.346_573_6,
        std::f32::consts::LN_2,
        std::f32::consts::SQRT_2,
        std::f32::consts::FRAC_1_SQRT_2,
        std::f32::consts::FRAC_PI_2,
        std::f32::consts::PI,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        1e-45,
        1e-7,
        6e-8,
    ];
    let near = special.into_iter().flat_map(|x: f32| {
        (-300i32..300).flat_map(move |i| {
            let y = f32::from_bits((x.to_bits() as i32).wrapping_add(i).max(0) as u32);
            [y, -y]
        })
    });
    (0..u32::MAX).step_by(6007).map(f32::from_bits).chain(near)
}

/// The largest error of f over `singles` within ±range, in units of the last place.
fn worst_single(name: &str, range: f32, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
    let mut worst = 0.0f64;
    for x in singles().filter(|x| x.is_nan() || x.abs() <= range) {
        let (y, e) = (f(x), exact(f64::from(x)));
        assert_eq!(y.is_nan(), e.is_nan(), "{name}({x:e}) = {y:e}, exactly {e:e}");
        if (e as f32).is_infinite() || y.is_infinite() {
            assert_eq!(y, e as f32, "{name}({x:e})");
        } else if !e.is_nan() {
            if e == 0.0 {
                assert_eq!(y, 0.0, "{name}({x:e})");
            }
            worst = worst.max((f64::from(y) - e).abs() / unit(e, 23, -126));
        }
    }
    worst
}

#[test]
fn single_precision_is_within_the_stated_bounds() {
    let inf = f32::INFINITY;
    macro_rules! check {
        ($($name:literal $range:expr, $bound:literal, $unfused:literal, $method:ident, $exact:expr;)+) => {$(
            let worst = worst_single($name, $range, <f32 as Real>::$method, $exact);
            if std::env::var_os("PRINT_ERRORS").is_some() { println!("{}: {worst}", $name); }
            assert!(worst <= $bound, "{}: {worst} units", $name);
            let worst = worst_single($name, $range, |x| Real::$method(Unfused(x)).0, $exact);
            assert!(worst <= $unfused, "{} in two roundings: {worst} units", $name);
        )+};
    }
    check! {
        "exp" inf, 1.1, 2.1, exp, f64::exp;
        "expm1" inf, 1.6, 2.6, expm1, f64::exp_m1;
        "ln" inf, 0.9, 1.9, ln, f64::ln;
        "ln_1p" inf, 1.6, 2.6, ln_1p, f64::ln_1p;
        "log2" inf, 0.6, 0.6, log2, f64::log2;
        "log10" inf, 1.6, 1.6, log10, f64::log10; // the reference is off by 2
        "asin" inf, 2.3, 3.3, asin, f64::asin;
        "acos" inf, 1.6, 2.6, acos, f64::acos;
        "atan" inf, 1.6, 2.6, atan, f64::atan;
        "tanh" inf, 1.5, 2.5, tanh, f64::tanh;
        "sigmoid" inf, 2.4, 3.4, sigmoid, sigmoid_reference;
        "erf" inf, 1.1, 2.1, erf, erf_reference;
        "sin" 8000.0, 1.6, 2.6, sin, f64::sin;
        "cos" 8000.0, 1.6, 2.6, cos, f64::cos;
    }
    for (name, worst) in [
        ("sin", worst_single("sin", 1e5, <f32 as Real>::sin, f64::sin)),
        ("cos", worst_single("cos", 1e5, <f32 as Real>::cos, f64::cos)),
    ] {
        assert!(worst <= 1.6, "{name} up to 10⁵: {worst} units");
    }
}

#[test]
fn sin_and_cos_keep_zeros_signs_stay_bounded_and_are_good_to_six_million() {
    for x in singles().filter(|x| x.is_finite()) {
        let (s, c) = (Real::sin(x), Real::cos(x));
        assert!(s.abs() <= 1.0 && c.abs() <= 1.0, "{x:e}: {s}, {c}");
        if x.abs() < 6.5e6 {
            let (es, ec) = f64::from(x).sin_cos();
            assert!((f64::from(s) - es).abs() < 1e-6 && (f64::from(c) - ec).abs() < 1e-6, "{x:e}: {s}, {c}");
        }
    }
    assert!(Real::sin(f32::INFINITY).is_nan() && Real::cos(f32::NEG_INFINITY).is_nan());
    assert!(Real::sin(f64::INFINITY).is_nan() && Real::sin(1e300_f64).abs() <= 1.0);
    assert!(Real::sin(-0.0f32).is_sign_negative() && Real::sin(-0.0f64).is_sign_negative());
}

/// Numbers of all sizes, and near the points where something changes.
fn doubles() -> impl Iterator<Item = f64> {
    let special = [
        0.0,
        1.0,
        0.5,
        6.0,
        2.0,
        22.0,
        40.0,
        709.782_712_893_384,
        745.133_219_101_941_1,
        708.396,
        0.346_573_590_279_972_65,
        std::f64::consts::LN_2,
        std::f64::consts::SQRT_2,
        std::f64::consts::FRAC_1_SQRT_2,
        std::f64::consts::FRAC_PI_2,
        std::f64::consts::PI,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::INFINITY,
        5e-324,
        1e-16,
    ];
    let near = special.into_iter().flat_map(|x: f64| {
        (-200i64..200).flat_map(move |i| {
            let y = f64::from_bits((x.to_bits() as i64).wrapping_add(i).max(0) as u64);
            [y, -y]
        })
    });
    let spread = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let usual = (0..60_000u64).map(move |i| (spread(i) as i64) as f64 / 2f64.powi(63 - (i % 24) as i32 + 12));
    (0..60_000u64).map(move |i| f64::from_bits(spread(i))).chain(usual).chain(near)
}

#[test]
fn double_precision_is_within_the_stated_bounds() {
    macro_rules! check {
        ($($name:literal $range:expr, $bound:literal, $unfused:literal, $method:ident, $exact:expr;)+) => {$(
            for (kind, bound, f) in [
                ("fused", $bound, (|x| Real::$method(x)) as fn(f64) -> f64),
                ("in two roundings", $unfused, |x| Real::$method(Unfused(x)).0),
            ] {
                let mut worst = (0.0, 0.0);
                for x in doubles().filter(|x| x.is_nan() || x.abs() <= $range) {
                    let (y, e) = (f(x), $exact(x));
                    assert_eq!((y.is_nan(), y.is_infinite()), (e.is_nan(), e.is_infinite()), "{}({x:e}) = {y:e}, {e:e}", $name);
                    if e.is_finite() {
                        let error = (y - e).abs() / unit(e, 52, -1022);
                        if error > worst.0 { worst = (error, x); }
                    }
                }
                // The reference itself may be off by most of a unit.
                assert!(worst.0 <= bound + 0.9, "{} {kind}: {worst:?} units", $name);
                if std::env::var_os("PRINT_ERRORS").is_some() { println!("{} {kind}: {worst:?}", $name); }
            }
        )+};
    }
    let inf = f64::INFINITY;
    check! {
        "exp" inf, 1.1, 2.1, exp, f64::exp;
        "expm1" inf, 1.7, 2.7, expm1, f64::exp_m1;
        "ln" inf, 1.0, 2.0, ln, f64::ln;
        "ln_1p" inf, 1.7, 2.7, ln_1p, f64::ln_1p;
        "log2" inf, 0.6, 0.6, log2, f64::log2;
        "log10" inf, 1.6, 1.6, log10, f64::log10; // the reference is off by 2
        "asin" inf, 1.6, 2.6, asin, f64::asin;
        "acos" inf, 1.6, 2.6, acos, f64::acos;
        "atan" inf, 1.5, 2.5, atan, f64::atan;
        "tanh" inf, 2.5, 3.5, tanh, f64::tanh;
        "sigmoid" inf, 2.4, 3.4, sigmoid, sigmoid_reference;
        "erf" inf, 4.0, 4.0, erf, erf_reference; // the reference is no better
        "sin" 1e6, 1.6, 2.6, sin, f64::sin;
        "cos" 1e6, 1.6, 2.6, cos, f64::cos;
    }
}

#[test]
fn powers_are_within_the_stated_bounds() {
    let bases = doubles().filter(|x| x.is_finite()).step_by(7);
    let exponents = [2.0, 3.0, -1.0, 0.5, -0.5, 1.0 / 3.0, 7.5, -12.0, 1e-3, 40.0, 0.0, 1.0];
    for x in bases {
        for e in exponents {
            let exact = x.powf(e);
            for (kind, y) in [("fused", Real::powf(x, e)), ("in two roundings", Real::powf(Unfused(x), Unfused(e)).0)] {
                assert_eq!((y.is_nan(), y.is_infinite()), (exact.is_nan(), exact.is_infinite()), "{kind} {x:e}^{e}");
                if exact.is_finite() {
                    let bound = if (e * x.abs().ln()).abs() <= 30.0 { 1.5 } else { 20.0 };
                    let error = (y - exact).abs() / unit(exact, 52, -1022);
                    assert!(error <= bound + 0.5, "{kind} {x:e}^{e} = {y:e}, {exact:e}: {error} units");
                }
            }
            let (single, power) = (x as f32, e as f32);
            let (y, exact) = (Real::powf(single, power), f64::from(single).powf(f64::from(power)));
            assert_eq!(y.is_nan(), exact.is_nan(), "{single:e}^{power}");
            if (exact as f32).is_finite() {
                let error = (f64::from(y) - exact).abs() / unit(exact, 23, -126);
                assert!(error <= 0.6, "{single:e}^{power} = {y:e}, {exact:e}: {error} units");
            }
        }
    }
}

#[test]
fn powers_at_the_ends_are_those_of_the_standard_library() {
    let values =
        [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for x in values {
        for e in values {
            let same = |y: f64, exact: f64| {
                let apart = if exact.is_infinite() || exact == 0.0 {
                    y != exact
                } else {
                    (y - exact).abs() > 1e-7 * exact.abs()
                };
                y.is_nan() && exact.is_nan() || !apart && y.is_sign_negative() == exact.is_sign_negative()
            };
            let y = Real::powf(x, e);
            assert!(same(y, x.powf(e)), "{x}^{e} = {y}");
            let (x, e) = (x as f32, e as f32);
            let y = Real::powf(x, e);
            assert!(same(y.into(), x.powf(e).into()), "{x}^{e} = {y}");
        }
    }
}

/// What the kernels rely on: small integers have exact powers.
#[test]
fn squares_and_cubes_of_integers_are_exact() {
    for i in 1..100 {
        let (x, y) = (f64::from(i), i as f32);
        assert_eq!(Real::powf(x, 2.0), x * x);
        assert_eq!(Real::powf(-x, 3.0), -x * x * x);
        assert_eq!(Real::powf(y, 2.0), y * y);
    }
}
