//! The gamma function's kin and the inverse of the error function.

use super::trigonometric::gaussian;
use super::unary;

unary!(/// ∞ of 0 and the negative integers.
    Lgamma, "ln |Γ(x)|", (0.2, 5.0), f: |x, _| x.lgamma(), df: |x, _, _| x.digamma());
unary!(/// NaN of negative integers.
    Digamma, "ψ(x) = Γ′(x)/Γ(x)", (0.2, 5.0), f: |x, _| x.digamma(), df: |x, _, _| x.polygamma(R::constant(1.0)));
unary!(/// The order is rounded to an integer; 0 is the digamma function, 1 the trigamma function.
    Polygamma, "ψ⁽ⁿ⁾(x), n the order", (0.5, 5.0), f: |x, [order, _]| x.polygamma(order), df: |x, _, [order, _]| {
    x.polygamma(order + R::constant(1.0))
});
unary!(/// ±∞ of ±1, NaN beyond.
    Erfinv, "the y with erf y = x", (-0.95, 0.95), f: |x, _| x.erfinv(), df: |_, y, _| {
    R::constant(1.0) / (R::constant(core::f64::consts::FRAC_2_SQRT_PI) * gaussian(y, 1.0))
});
