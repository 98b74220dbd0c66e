//! Circular and hyperbolic functions, and the error function.

use super::unary;
use crate::Real;

unary!(Sin, "sin x", (-3.0, 3.0), f: |x, _| x.sin(), df: |x, _, _| x.cos());
unary!(Cos, "cos x", (-3.0, 3.0), f: |x, _| x.cos(), df: |x, _, _| -x.sin());
unary!(Tan, "tan x", (-1.2, 1.2), f: |x, _| x.sin() / x.cos(), df: |_, y, _| y.mul_add(y, R::constant(1.0)));
/// e^(-scale·x²). Large squares are rounded by more than eˣ can bear: what the rounding lost is added to the first order.
#[inline(always)]
pub(super) fn gaussian<R: Real>(x: R, scale: f64) -> R {
    // Beyond this it is 0 in f64 too, and squares stay finite.
    let limit = R::constant(40.0);
    let x = x.maximum(-limit).minimum(limit);
    let square = x * x;
    let lost = x.mul_add(x, -square);
    let y = (R::constant(-scale) * square).exp();
    (-y).mul_add(R::constant(scale) * lost, y)
}

/// Above this |x|, e^(|x|/2) is squared: eˣ overflows before its half does.
const HALVED: f64 = 80.0;

/// (eˣ − e⁻ˣ)/2, by expm1, so that small x keep their digits.
#[inline(always)]
fn sinh<R: Real>(x: R) -> R {
    let (half, one, a) = (R::constant(0.5), R::constant(1.0), x.abs());
    let limit = R::constant(HALVED);
    let e = limit.if_less(a, a * half, a).expm1();
    let power = e + one;
    let y = half * limit.if_less(a, power, one) * limit.if_less(a, power, e + e / power);
    x.if_less(R::constant(0.0), -y, y)
}

/// (eˣ + e⁻ˣ)/2
#[inline(always)]
fn cosh<R: Real>(x: R) -> R {
    let (half, one, a) = (R::constant(0.5), R::constant(1.0), x.abs());
    let limit = R::constant(HALVED);
    let e = limit.if_less(a, a * half, a).exp();
    half * limit.if_less(a, e, one) * limit.if_less(a, e, e + one / e)
}

unary!(Sinh, "(eˣ - e⁻ˣ)/2", (-3.0, 3.0), f: |x, _| sinh(x), df: |x, _, _| cosh(x));
unary!(Cosh, "(eˣ + e⁻ˣ)/2", (-3.0, 3.0), f: |x, _| cosh(x), df: |x, _, _| sinh(x));
unary!(Tanh, "tanh x", (-3.0, 3.0), f: |x, _| x.tanh(), df: |_, y, _| R::constant(1.0) - y * y);
unary!(Erf, "erf x = 2/√π ∫₀ˣ e^(-t²) dt", (-2.5, 2.5), f: |x, _| x.erf(), df: |x, _, _| {
    R::constant(core::f64::consts::FRAC_2_SQRT_PI) * gaussian(x, 1.0)
});
