//! Special functions in f64 against values by mpmath with 40 digits, and operations of two numbers against the standard library.

use kiln_math::{BinaryOp, Real, UnaryOp, Unfused};

/// Errors in units of the last place, and in absolute terms beside zeros.
#[track_caller]
fn close(what: &str, x: f64, y: f64, exact: f64, units: f64, absolute: f64) {
    let error = (y - exact).abs();
    assert!(error <= units * f64::EPSILON * exact.abs() + absolute, "{what}({x:e}) = {y:e}, exactly {exact:e}");
}

#[test]
fn gamma_functions() {
    // x, ln |Γ(x)|, ψ(x)
    let table = [
        (1.0e-300, 690.775_527_898_213_7, -9.999_999_999_999_999e299),
        (1.0e-9, 20.723_265_836_369_194, -1_000_000_000.577_215_6),
        (0.1, 2.252_712_651_734_206, -10.423_754_940_411_076),
        (0.5, 0.572_364_942_924_700_1, -1.963_510_026_021_423_5),
        (0.999_99, 5.772_238_896_093_089e-6, -0.577_232_114_362_408_1),
        (1.000_000_1, -5.772_155_829_918_507e-8, -0.577_215_500_408_138_1),
        (1.461_632_144_968_362_2, -0.121_486_290_535_849_61, -9.241_265_521_729_427e-17),
        (1.5, -0.120_782_237_635_245_22, 0.036_489_973_978_576_52),
        (1.999_9, -4.227_520_877_215_346e-5, 0.422_719_839_671_130_97),
        (2.000_1, 4.228_165_811_291_994_5e-5, 0.422_848_826_484_665_4),
        (2.5, 0.284_682_870_472_919_2, 0.703_156_640_645_243_2),
        (3.7, 1.428_072_326_665_388, 1.167_153_539_361_511_3),
        (6.2, 5.132_298_787_837_294_5, 1.741_741_821_689_53),
        (7.999, 8.523_145_786_158_915, 2.015_508_332_090_348),
        (8.0, 8.525_161_361_065_415, 2.015_641_477_955_61),
        (12.5, 18.734_347_511_936_445, 2.485_195_651_274_912_3),
        (100.25, 360.284_559_637_764_23, 4.602_671_243_274_712),
        (1_000_000.0, 12_815_504.569_147_611, 13.815_510_057_964_191),
        (1.0e17, 3.814_394_658_089_877_5e18, 39.143_946_580_898_78),
        (-1.0e-12, 27.631_021_115_929_126, 999_999_999_999.422_9),
        (-0.3, 1.464_840_050_857_602_5, 2.113_309_779_635_399),
        (-0.5, 1.265_512_123_484_645_4, 0.036_489_973_978_576_52),
        (-1.75, 1.016_088_809_214_435_8, -2.322_691_628_614_361),
        (-2.25, 0.555_501_545_020_647_5, 4.158_583_564_657_972),
        (-7.6, -8.562_986_275_828_28, 1.071_732_116_277_544),
        (-33.4, -85.266_566_802_292_97, 4.544_216_596_350_643),
        (-1_000.5, -5_914.437_701_116_852, 6.908_754_820_898_672),
    ];
    for (x, lgamma, digamma) in table {
        for (y, slope) in [(Real::lgamma(x), Real::digamma(x)), (Unfused(x).lgamma().0, Unfused(x).digamma().0)] {
            // Of negative numbers, 1 − x is rounded: an error of the slope's size.
            let rounded = if x < 0.0 { 4e-16 * digamma.abs() + 4e-15 } else { 0.0 };
            close("lgamma", x, y, lgamma, 4.0, rounded);
            close("digamma", x, slope, digamma, 6.0, if x < 0.0 { 4e-13 } else { 4e-15 });
        }
    }
    assert_eq!((Real::lgamma(1.0), Real::lgamma(2.0)), (0.0, 0.0));
    let inf = f64::INFINITY;
    for x in [0.0, -0.0, -1.0, -1e300, inf, -inf] {
        assert_eq!(Real::lgamma(x), inf, "{x}");
    }
    assert_eq!((Real::digamma(0.0), Real::digamma(-0.0), Real::digamma(inf)), (-inf, inf, inf));
    assert!(Real::digamma(-3.0f64).is_nan() && Real::digamma(-inf).is_nan());
}

#[test]
fn derivatives_of_digamma() {
    // n, x, ψ⁽ⁿ⁾(x)
    let table = [
        (1.0, 1.0e-5, 10_000_000_001.644_909),
        (1.0, 0.5, 4.934_802_200_544_679),
        (1.0, 1.0, 1.644_934_066_848_226_4),
        (1.0, 3.3, 0.353_501_541_841_061_8),
        (1.0, 25.0, 0.040_810_663_257_225_58),
        (1.0, 100_000_000.0, 1.000_000_005e-8),
        (1.0, -0.25, 18.541_879_647_671_607),
        (1.0, -1.5, 9.379_246_644_989_124),
        (1.0, -20.75, 19.692_158_656_372_5),
        (1.0, -1_000_000.375, 11.562_959_805_802_791),
        (2.0, 0.1, -2_001.861_457_378_343_6),
        (2.0, 1.0, -2.404_113_806_319_188_5),
        (2.0, 7.7, -0.019_198_121_435_321_96),
        (2.0, -0.4, 21.287_168_462_856_535),
        (2.0, -3.1, 1_998.583_926_327_076_4),
        (3.0, 1.25, 2.782_144_009_188_396),
        (3.0, -2.6, 283.538_380_597_735_74),
        (5.0, 2.0, 2.081_167_438_133_897),
        (10.0, 3.5, -4.026_693_041_232_995),
        (10.0, -1.3, 2_048_284_892_630.075_2),
    ];
    for (n, x, exact) in table {
        // Of negative numbers the distance from a pole counts, which has fewer digits.
        close("polygamma", x, Real::polygamma(x, n), exact, 40.0, 0.0);
        let single = Real::polygamma(x as f32, n as f32);
        let exact = Real::polygamma(f64::from(x as f32), n);
        assert_eq!(single, exact as f32, "{n} {x}");
    }
    assert_eq!(Real::polygamma(0.7, 0.0), Real::digamma(0.7));
    assert_eq!((Real::polygamma(-2.0, 1.0), Real::polygamma(0.0, 2.0)), (f64::INFINITY, f64::NEG_INFINITY));
    assert_eq!(Real::polygamma(f64::INFINITY, 3.0), 0.0);
}

#[test]
fn inverse_of_the_error_function() {
    // x, y
    let table = [
        (1.0e-300, 8.862_269_254_527_58e-301),
        (1.0e-8, 8.862_269_254_527_58e-9),
        (0.25, 0.225_312_055_012_178_1),
        (-0.5, -0.476_936_276_204_469_9),
        (0.9, 1.163_087_153_676_674_3),
        (0.995, 1.984_872_612_615_532),
        (-0.999_9, -2.751_063_905_712_08),
        (0.999_999_99, 4.052_237_243_268_763),
        (0.999_999_999_999, 5.042_031_898_572_696),
        (0.999_999_999_999_999_9, 5.863_584_748_755_167_6),
    ];
    for (x, exact) in table {
        for (x, exact) in [(x, exact), (-x, -exact)] {
            close("erfinv", x, Real::erfinv(x), exact, 3.0, 0.0);
            close("erfinv in two roundings", x, Unfused(x).erfinv().0, exact, 6.0, 0.0);
        }
    }
    assert_eq!((Real::erfinv(1.0), Real::erfinv(-1.0f32)), (f64::INFINITY, f32::NEG_INFINITY));
    assert!(Real::erfinv(1.0000001f32).is_nan() && Real::erfinv(f64::INFINITY).is_nan());
    assert!(Real::erfinv(-0.0f64).is_sign_negative());
}

/// Numbers of all sizes and both signs.
fn numbers() -> Vec<f64> {
    let some =
        [0.0, 5e-324, 1e-310, 1e-45, 1e-40, 1e-30, 1e-9, 0.1, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 7.25, 1e3, 16_777_217.0];
    let large = [1e10, 1e16, 3.7e20, 1e38, 1e200, f64::MAX, f64::INFINITY, f64::NAN];
    some.into_iter().chain(large).flat_map(|x| [x, -x]).collect()
}

fn same(y: f64, exact: f64) -> bool {
    y.is_nan() && exact.is_nan() || y == exact && y.is_sign_negative() == exact.is_sign_negative()
}

#[test]
fn remainders_are_exact() {
    for (a, b) in numbers().into_iter().flat_map(|a| numbers().into_iter().map(move |b| (a, b))) {
        assert!(same(Real::fmod(a, b), a % b), "{a:e} % {b:e} = {:e}", Real::fmod(a, b));
        let (a, b) = (a as f32, b as f32);
        for y in [Real::fmod(a, b), Unfused(a).fmod(Unfused(b)).0] {
            assert!(same(y.into(), (a % b).into()), "{a:e} % {b:e} = {y:e}, exactly {:e}", a % b);
        }
    }
    // Many sizes of quotients.
    for i in 0..20_000u32 {
        let (a, b) = (f32::from_bits(i.wrapping_mul(0x9e37_79b9)), f32::from_bits(i.wrapping_mul(0x85eb_ca6b) >> 1));
        assert!(same(Real::fmod(a, b).into(), (a % b).into()), "{a:e} % {b:e}");
        assert!(same(Unfused(a).fmod(Unfused(b)).0.into(), (a % b).into()), "{a:e} % {b:e}");
    }
}

/// As Python has them; the floor of the exact quotient, which rounded is another integer.
#[test]
fn remainders_and_floors_of_quotients() {
    let inf = f64::INFINITY;
    for (a, b, remainder, floor) in [
        (7.0, 2.0, 1.0, 3.0),
        (-7.0, 2.0, 1.0, -4.0),
        (7.0, -2.0, -1.0, -4.0),
        (-7.0, -2.0, -1.0, 3.0),
        (6.0, -2.0, -0.0, -3.0),
        (0.0, -2.0, -0.0, -0.0),
        (-0.0, 2.0, 0.0, -0.0),
        (1.0, 0.1, 0.099_999_999_999_999_95, 9.0),
        (3.0, inf, 3.0, 0.0),
        (-3.0, inf, inf, -1.0),
        (1.0, 0.0, f64::NAN, inf),
        (-1.0, 0.0, f64::NAN, -inf),
        (inf, 2.0, f64::NAN, f64::NAN),
    ] {
        let y = (BinaryOp::Remainder.f(a, b), BinaryOp::FloorDiv.f(a, b));
        assert!(same(y.0, remainder) && same(y.1, floor), "{a}, {b}: {y:?}, not {remainder} and {floor}");
        let y = (BinaryOp::Remainder.f(a as f32, b as f32), BinaryOp::FloorDiv.f(a as f32, b as f32));
        let near =
            |y: f32, exact: f64| same(y.into(), exact) || (f64::from(y) - exact).abs() < 1e-6 || a == 1.0 && b == 0.1;
        assert!(near(y.0, remainder) && near(y.1, floor), "{a}, {b} in f32: {y:?}");
    }
}

#[test]
fn lengths_and_angles() {
    for (a, b) in numbers().into_iter().flat_map(|a| numbers().into_iter().map(move |b| (a, b))) {
        let near = |y: f64, exact: f64, units: f64, least: f64| {
            let error = (y - exact).abs() <= units * exact.abs() + least;
            y.is_nan() && exact.is_nan() || y == exact || error && y.is_sign_negative() == exact.is_sign_negative()
        };
        let (length, angle) = (Real::hypot(a, b), Real::atan2(a, b));
        assert!(near(length, a.hypot(b), 2.5e-16, 5e-324), "hypot {a:e}, {b:e}: {length:e}");
        assert!(near(angle, a.atan2(b), 3e-16, 5e-324), "atan2 {a:e}, {b:e}: {angle:e}, {:e}", a.atan2(b));
        let (a, b) = (a as f32, b as f32);
        let exact = (f64::from(a).hypot(b.into()), f64::from(a).atan2(b.into()));
        let (length, angle) = (f64::from(Real::hypot(a, b)), f64::from(Real::atan2(a, b)));
        let finite = exact.0.is_nan() || exact.0.is_infinite() || exact.0 < f64::from(f32::MAX);
        assert!(!finite || near(length, exact.0, 6.1e-8, 1e-45), "hypot {a:e}, {b:e}: {length:e}");
        assert!(near(angle, exact.1, 1.8e-7, 1e-45), "atan2 {a:e}, {b:e}: {angle:e}");
    }
}

#[test]
fn sums_of_exponentials_do_not_overflow() {
    let inf = f32::INFINITY;
    let f = |a: f32, b: f32| BinaryOp::LogAddExp.f(a, b);
    assert_eq!((f(inf, inf), f(-inf, -inf), f(inf, -inf), f(-inf, 3.0)), (inf, -inf, inf, 3.0));
    assert_eq!((f(1000.0, 1000.0), f(-1000.0, -1000.0)), (1000.0 + 2f32.ln(), -1000.0 + 2f32.ln()));
    for i in -200..200 {
        let (a, b) = (f64::from(i) * 0.37, 3.0 - f64::from(i) * 0.21);
        let exact = (a.exp() + b.exp()).ln();
        close("logaddexp", a, BinaryOp::LogAddExp.f(a, b), exact, 4.0, 4e-16);
    }
}

/// Signs of zero and what lies at the ends of the domains.
#[test]
fn ends_of_domains() {
    let f = |op: UnaryOp, x: f64| op.f(x, [0.0; 2]);
    let inf = f64::INFINITY;
    for (op, x, exact) in [
        (UnaryOp::Asin, 1.0, std::f64::consts::FRAC_PI_2),
        (UnaryOp::Acos, 1.0, 0.0),
        (UnaryOp::Acos, -1.0, std::f64::consts::PI),
        (UnaryOp::Atan, -inf, -std::f64::consts::FRAC_PI_2),
        (UnaryOp::Asinh, -inf, -inf),
        (UnaryOp::Acosh, 1.0, 0.0),
        (UnaryOp::Acosh, inf, inf),
        (UnaryOp::Acosh, -inf, f64::NAN),
        (UnaryOp::Acosh, -5.0, f64::NAN),
        (UnaryOp::Atanh, 1.0, inf),
        (UnaryOp::Atanh, -1.0, -inf),
        (UnaryOp::Atanh, inf, f64::NAN),
        (UnaryOp::Asin, 1.5, f64::NAN),
        (UnaryOp::Log2, 0.0, -inf),
        (UnaryOp::Log10, -1.0, f64::NAN),
        (UnaryOp::Asin, -0.0, -0.0),
        (UnaryOp::Atan, -0.0, -0.0),
        (UnaryOp::Asinh, -0.0, -0.0),
        (UnaryOp::Atanh, -0.0, -0.0),
        (UnaryOp::Trunc, -0.5, -0.0),
    ] {
        assert!(same(f(op, x), exact), "{} {x}: {}", op.name(), f(op, x));
        let single = op.f(x as f32, [0.0; 2]);
        assert!(same(single.into(), f64::from(exact as f32)), "{} {x} in f32: {single}", op.name());
    }
}

#[test]
fn logarithms_of_powers_are_integers() {
    for n in -1074..1024 {
        let x = 2f64.powi(n / 2) * 2f64.powi(n - n / 2);
        assert_eq!(Real::log2(x), f64::from(n));
        if n > -150 && n < 128 {
            assert_eq!(Real::log2(x as f32), n as f32);
        }
    }
    for n in 0..23 {
        assert_eq!(Real::log10(10f64.powi(n)), f64::from(n));
        assert_eq!(Unfused(10f64.powi(n)).log10().0, f64::from(n));
        if n < 11 {
            assert_eq!(Real::log10(10f32.powi(n)), n as f32);
        }
    }
}

/// As NumPy's `round` with decimals.
#[test]
fn rounding_to_decimals() {
    let round = |x: f64, decimals: f64| UnaryOp::RoundTo.f(x, [decimals, 0.0]);
    for (x, decimals, exact) in [
        (2.345, 2.0, 2.35),
        (-2.355, 2.0, -2.36),
        (1234.5, -2.0, 1200.0),
        (1250.0, -2.0, 1200.0),
        (0.5, 0.0, 0.0),
        (1e300, 20.0, 1e300),
        (-1.3, -40.0, -0.0),
        (f64::NEG_INFINITY, 3.0, f64::NEG_INFINITY),
        (1.234_567_891_234, 10.0, 1.234_567_891_2),
        (7.0, -400.0, 0.0),
    ] {
        assert!(same(round(x, decimals), exact), "{x} to {decimals}: {}", round(x, decimals));
    }
    assert_eq!(UnaryOp::RoundTo.f(-7.0f32, [-40.0, 0.0]), 0.0);
    assert_eq!(UnaryOp::RoundTo.f(0.125f32, [2.0, 0.0]), 0.12);
}
