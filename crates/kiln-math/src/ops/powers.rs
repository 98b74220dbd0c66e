//! Sign, powers, exponentials and logarithms.

use super::unary;

unary!(Neg, "-x", (-3.0, 3.0), f: |x, _| -x, df: |_, _, _| R::constant(-1.0));
unary!(Abs, "|x|", (-3.0, 3.0), f: |x, _| x.abs(), df: |x, _, _| {
    let zero = R::constant(0.0);
    x.if_less(zero, R::constant(-1.0), zero.if_less(x, R::constant(1.0), zero))
});
unary!(/// Zero of zero.
    Sign, "-1, 0 or 1", (-3.0, 3.0), f: |x, _| {
    let zero = R::constant(0.0);
    x.if_less(zero, R::constant(-1.0), zero.if_less(x, R::constant(1.0), x * zero))
}, df: |_, _, _| R::constant(0.0));
unary!(Square, "x²", (-3.0, 3.0), f: |x, _| x * x, df: |x, _, _| R::constant(2.0) * x);
unary!(Sqrt, "√x", (0.1, 4.0), f: |x, _| x.sqrt(), df: |_, y, _| R::constant(0.5) / y);
unary!(Rsqrt, "1/√x", (0.2, 4.0), f: |x, _| R::constant(1.0) / x.sqrt(), df: |x, y, _| R::constant(-0.5) * y / x);
unary!(Recip, "1/x", (0.2, 4.0), f: |x, _| R::constant(1.0) / x, df: |_, y, _| -(y * y));
unary!(Exp, "eˣ", (-3.0, 3.0), f: |x, _| x.exp(), df: |_, y, _| y);
unary!(Exp2, "2ˣ", (-3.0, 3.0), f: |x, _| R::constant(2.0).powf(x), df: |x, _, _| {
    // In two factors: the derivative is finite where the value is not any more.
    let half = R::constant(2.0).powf(R::constant(0.5) * x);
    R::constant(core::f64::consts::LN_2) * half * half
});
unary!(Expm1, "eˣ - 1", (-3.0, 3.0), f: |x, _| x.expm1(), df: |_, y, _| y + R::constant(1.0));
unary!(Ln, "ln x", (0.2, 4.0), f: |x, _| x.ln(), df: |x, _, _| R::constant(1.0) / x);
unary!(Log2, "log₂ x", (0.2, 4.0), f: |x, _| x.log2(), df: |x, _, _| R::constant(core::f64::consts::LOG2_E) / x);
unary!(Log10, "log₁₀ x", (0.2, 4.0), f: |x, _| x.log10(), df: |x, _, _| R::constant(core::f64::consts::LOG10_E) / x);
unary!(Ln1p, "ln(1 + x)", (-0.7, 4.0), f: |x, _| x.ln_1p(), df: |x, _, _| R::constant(1.0) / (R::constant(1.0) + x));
unary!(/// Multiplies and adds with one rounding.
    Affine, "scale·x + shift", (-3.0, 3.0), f: |x, [scale, shift]| scale.mul_add(x, shift), df: |_, _, [scale, _]| scale);
unary!(/// The derivative is 1 between the bounds and 0 elsewhere, at the bounds too (as in PyTorch from 2.15 on).
    Clamp, "min(max(x, low), high)", (-2.0, 2.0), f: |x, [low, high]| x.maximum(low).minimum(high), df: |x, _, [low, high]| {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    low.if_less(x, x.if_less(high, one, zero), zero)
});
unary!(/// The derivative of exponent 0 is 0, at x = 0 too (as in PyTorch).
    Powf, "x^exponent", (0.2, 3.0), f: |x, [e, _]| x.powf(e), df: |x, _, [e, _]| {
    let zero = R::constant(0.0);
    zero.if_less(e.abs(), e * x.powf(e - R::constant(1.0)), zero)
});
