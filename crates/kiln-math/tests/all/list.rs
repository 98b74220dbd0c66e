//! Walks the lists: an operation added there is tested here.

use kiln_math::{BinaryOp, Dual, Real, UnaryOp, Unfused};
use proptest::prelude::*;

fn params(op: UnaryOp) -> [f64; 2] {
    match op.params() {
        0 => [0.0; 2],
        1 => [1.3, 0.0],
        _ => [-0.7, 0.9],
    }
}

fn points((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    (0..501).map(move |i| low + (high - low) * (f64::from(i) * 0.618_033_988_75 + 0.1371).fract())
}

#[test]
fn unary_derivatives_are_those_of_dual_numbers() {
    for &op in UnaryOp::ALL {
        let p = params(op);
        for x in points(op.domain()) {
            let dual = op.f(Dual::variable(x), p.map(Dual::constant));
            let slope = op.df(x, op.f(x, p), p);
            assert_eq!(dual.value, op.f(x, p), "{} at {x}", op.name());
            assert!(
                (dual.slope - slope).abs() <= 1e-12 * (1.0 + slope.abs()),
                "{}'({x}): {slope}, dual {}",
                op.name(),
                dual.slope
            );
        }
    }
}

#[test]
fn binary_derivatives_are_those_of_dual_numbers() {
    for &op in BinaryOp::ALL {
        let (a, b) = op.domains();
        for (x, y) in points(a).zip(points(b).skip(3)) {
            let (da, db) = op.df(x, y, op.f(x, y));
            let along_a = op.f(Dual::variable(x), Dual::constant(y)).slope;
            let along_b = op.f(Dual::constant(x), Dual::variable(y)).slope;
            for (slope, dual) in [(da, along_a), (db, along_b)] {
                assert!(
                    (dual - slope).abs() <= 1e-12 * (1.0 + slope.abs()),
                    "{} at {x}, {y}: {slope}, dual {dual}",
                    op.name()
                );
            }
        }
    }
}

/// f32, fused or not, against f64.
#[test]
fn single_precision_agrees_with_double() {
    for &op in UnaryOp::ALL {
        let p = params(op);
        for x in points(op.domain()) {
            let x = x as f32;
            let exact = op.f(f64::from(x), p);
            let fused = f64::from(op.f(x, p.map(|v| v as f32)));
            let unfused = f64::from(op.f(Unfused(x), p.map(|v| Unfused(v as f32))).0);
            for (kind, value) in [("fused", fused), ("unfused", unfused)] {
                // Near a zero of the function, errors of the operands show: hence the 1 +.
                assert!(
                    (value - exact).abs() <= 6e-7 * (1.0 + exact.abs()),
                    "{kind} {}({x}) = {value}, exactly {exact}",
                    op.name()
                );
            }
        }
    }
}

#[test]
fn nan_comes_out_where_nan_goes_in() {
    for &op in UnaryOp::ALL {
        let p = params(op);
        if op != UnaryOp::Sign {
            assert!(op.f(f32::NAN, p.map(|v| v as f32)).is_nan(), "{}", op.name());
            assert!(op.f(f64::NAN, p).is_nan(), "{}", op.name());
        }
    }
    for &op in BinaryOp::ALL {
        // The sign of a NaN is a sign.
        let second = op == BinaryOp::CopySign || op.f(1.5, f32::NAN).is_nan();
        assert!(op.f(f32::NAN, 1.5).is_nan() && second, "{}", op.name());
    }
}

#[test]
fn infinities() {
    let f = |op: UnaryOp, x: f32| op.f(x, [0.0; 2]);
    let inf = f32::INFINITY;
    for (op, low, high) in [
        (UnaryOp::Exp, 0.0, inf),
        (UnaryOp::Expm1, -1.0, inf),
        (UnaryOp::Tanh, -1.0, 1.0),
        (UnaryOp::Erf, -1.0, 1.0),
        (UnaryOp::Sigmoid, 0.0, 1.0),
        (UnaryOp::Relu, 0.0, inf),
        (UnaryOp::Softplus, 0.0, inf),
        (UnaryOp::LogSigmoid, -inf, 0.0),
        (UnaryOp::Sinh, -inf, inf),
        (UnaryOp::Relu6, 0.0, 6.0),
    ] {
        assert_eq!((f(op, -inf), f(op, inf)), (low, high), "{}", op.name());
    }
    assert_eq!(f(UnaryOp::Ln, 0.0), -inf);
    assert_eq!(f(UnaryOp::Ln, inf), inf);
    assert!(f(UnaryOp::Ln, -1.0).is_nan());
    assert_eq!(f(UnaryOp::Ln1p, -1.0), -inf);
    assert_eq!(f(UnaryOp::Rsqrt, 0.0), inf);
}

#[test]
fn names_and_formulas_are_there_and_differ() {
    let mut names: Vec<&str> =
        UnaryOp::ALL.iter().map(|op| op.name()).chain(BinaryOp::ALL.iter().map(|op| op.name())).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(UnaryOp::ALL.iter().all(|op| !op.formula().is_empty() && op.params() <= 2));
}

#[test]
fn powers_have_slope_zero_where_pytorch_says_so() {
    let slope = |x: f64, e: f64| UnaryOp::Powf.df(x, Real::powf(x, e), [e, 0.0]);
    assert_eq!((slope(0.0, 0.0), slope(0.0, 1.0), slope(0.0, 2.0), slope(-2.0, 3.0)), (0.0, 1.0, 0.0, 12.0));
    let both = |a: f64, b: f64| BinaryOp::Pow.df(a, b, Real::powf(a, b));
    assert_eq!(both(0.0, 2.0), (0.0, 0.0));
    assert_eq!(both(0.0, 0.0), (0.0, 0.0));
    assert_eq!(both(2.0, 0.0).0, 0.0);
}

#[test]
fn maximum_and_minimum_let_nan_through_and_break_ties_towards_the_second() {
    let nan = f32::NAN;
    for other in [-1.0, 0.0, f32::INFINITY, f32::NEG_INFINITY, nan] {
        assert!(Real::maximum(nan, other).is_nan() && Real::maximum(other, nan).is_nan());
        assert!(Real::minimum(nan, other).is_nan() && Real::minimum(other, nan).is_nan());
    }
    // One rule for the sign of zero, the same on every device.
    assert!(Real::maximum(0.0f32, -0.0).is_sign_negative() && Real::maximum(-0.0f32, 0.0).is_sign_positive());
}

proptest! {
    /// Anywhere in f32, not just in the domains: f and f′ are what f64 gives, to f32's precision, or both are not finite.
    #[test]
    fn operations_agree_with_f64_everywhere(bits in any::<u32>(), which in 0..UnaryOp::ALL.len()) {
        let (op, x) = (UnaryOp::ALL[which], f32::from_bits(bits));
        let p = params(op);
        let (y, exact) = (op.f(x, p.map(|v| v as f32)), op.f(f64::from(x), p));
        prop_assert_eq!(y.is_nan(), exact.is_nan(), "{}({:e}) = {:e}, in f64 {:e}", op.name(), x, y, exact);
        let circular = matches!(op, UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan);
        // Near overflow one of them may get there first; reduction of large angles is documented to be coarse in f32.
        if !exact.is_nan() && exact.abs() < 1e38 && !(circular && x.abs() > 1e4) {
            let error = (f64::from(y) - exact).abs();
            prop_assert!(error <= 1e-5 * exact.abs() + 1e-6, "{}({:e}) = {:e}, in f64 {:e}", op.name(), x, y, exact);
        }
    }
}
