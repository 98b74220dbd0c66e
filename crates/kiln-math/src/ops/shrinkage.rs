//! Activations that cut: shrinkage, thresholds.

use super::unary;
use crate::Real;

/// 0, or NaN of NaN.
#[inline(always)]
fn zero_of<R: Real>(x: R) -> R {
    let zero = R::constant(0.0);
    x.minimum(zero).maximum(zero)
}

unary!(/// 0 at ±lambda too.
    HardShrink, "|x| > lambda ? x : 0", (-3.0, 3.0), f: |x, [lambda, _]| lambda.if_less(x.abs(), x, zero_of(x)), df: |x, _, [lambda, _]| {
    lambda.if_less(x.abs(), R::constant(1.0), R::constant(0.0))
});
unary!(SoftShrink, "x > lambda ? x - lambda : x < -lambda ? x + lambda : 0", (-3.0, 3.0), f: |x, [lambda, _]| {
    x - x.maximum(-lambda).minimum(lambda)
}, df: |x, _, [lambda, _]| lambda.if_less(x.abs(), R::constant(1.0), R::constant(0.0)));
unary!(TanhShrink, "x - tanh x", (-3.0, 3.0), f: |x, _| x - x.tanh(), df: |x, _, _| {
    let t = x.tanh();
    t * t
});
unary!(/// The derivative is 0 at the threshold.
    Threshold, "x > threshold ? x : value", (-2.0, 2.0), f: |x, [threshold, value]| threshold.if_less(x, x, value + zero_of(x)), df: |x, _, [threshold, _]| {
    threshold.if_less(x, R::constant(1.0), R::constant(0.0))
});
