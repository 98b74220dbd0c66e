//! Activation functions.

use super::unary;

/// α and λ of SELU (Klambauer et al. 2017).
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// √(2/π) and the cubic coefficient of GELU's tanh form (Hendrycks & Gimpel 2016).
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;

unary!(/// NaN stays NaN; the derivative at 0 is 0, as in PyTorch.
    Relu, "max(x, 0)", (-3.0, 3.0), f: |x, _| x.maximum(R::constant(0.0)), df: |_, y, _| {
    R::constant(0.0).if_less(y, R::constant(1.0), R::constant(0.0))
});
unary!(Relu6, "min(max(x, 0), 6)", (-3.0, 9.0), f: |x, _| x.maximum(R::constant(0.0)).minimum(R::constant(6.0)), df: |_, y, _| {
    let zero = R::constant(0.0);
    zero.if_less(y, y.if_less(R::constant(6.0), R::constant(1.0), zero), zero)
});
unary!(LeakyRelu, "x > 0 ? x : slope·x", (-3.0, 3.0), f: |x, [slope, _]| {
    R::constant(0.0).if_less(x, x, slope * x)
}, df: |x, _, [slope, _]| R::constant(0.0).if_less(x, R::constant(1.0), slope));
unary!(Elu, "x > 0 ? x : alpha·(eˣ - 1)", (-3.0, 3.0), f: |x, [alpha, _]| {
    R::constant(0.0).if_less(x, x, alpha * x.minimum(R::constant(0.0)).expm1())
}, df: |x, y, [alpha, _]| R::constant(0.0).if_less(x, R::constant(1.0), y + alpha));
unary!(/// Barron 2017; the slope is continuous for every alpha, where ELU's is for 1 alone.
    Celu, "x > 0 ? x : alpha·(exp(x/alpha) - 1)", (-3.0, 3.0), f: |x, [alpha, _]| {
    R::constant(0.0).if_less(x, x, alpha * (x.minimum(R::constant(0.0)) / alpha).expm1())
}, df: |x, y, [alpha, _]| R::constant(0.0).if_less(x, R::constant(1.0), y / alpha + R::constant(1.0)));
unary!(Selu, "1.0507·(x > 0 ? x : 1.6733·(eˣ - 1))", (-3.0, 3.0), f: |x, _| {
    let (scale, alpha) = (R::constant(SELU_SCALE), R::constant(SELU_SCALE * SELU_ALPHA));
    R::constant(0.0).if_less(x, scale * x, alpha * x.minimum(R::constant(0.0)).expm1())
}, df: |x, y, _| R::constant(0.0).if_less(x, R::constant(SELU_SCALE), y + R::constant(SELU_SCALE * SELU_ALPHA)));
unary!(Sigmoid, "1/(1 + e⁻ˣ)", (-4.0, 4.0), f: |x, _| x.sigmoid(), df: |_, y, _| y * (R::constant(1.0) - y));
unary!(LogSigmoid, "-ln(1 + e⁻ˣ)", (-4.0, 4.0), f: |x, _| {
    x.minimum(R::constant(0.0)) - (-x.abs()).exp().ln_1p()
}, df: |x, _, _| (-x).sigmoid());
unary!(Softplus, "ln(1 + eˣ)", (-4.0, 4.0), f: |x, _| {
    x.maximum(R::constant(0.0)) + (-x.abs()).exp().ln_1p()
}, df: |x, _, _| x.sigmoid());
unary!(Softsign, "x/(1 + |x|)", (-3.0, 3.0), f: |x, _| x / (R::constant(1.0) + x.abs()), df: |x, _, _| {
    let d = R::constant(1.0) + x.abs();
    R::constant(1.0) / (d * d)
});
unary!(Gelu, "x·(1 + erf(x/√2))/2", (-3.0, 3.0), f: |x, _| {
    R::constant(0.5) * x * (R::constant(1.0) + (x * R::constant(core::f64::consts::FRAC_1_SQRT_2)).erf())
}, df: |x, _, _| {
    let cdf = R::constant(0.5) * (R::constant(1.0) + (x * R::constant(core::f64::consts::FRAC_1_SQRT_2)).erf());
    let pdf = R::constant(0.398_942_280_401_432_7) * (R::constant(-0.5) * x * x).exp();
    x.mul_add(pdf, cdf)
});
unary!(GeluTanh, "x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2", (-3.0, 3.0), f: |x, _| {
    let inner = R::constant(GELU_SCALE) * (x + R::constant(GELU_CUBIC) * x * x * x);
    R::constant(0.5) * x * (R::constant(1.0) + inner.tanh())
}, df: |x, _, _| {
    let t = (R::constant(GELU_SCALE) * (x + R::constant(GELU_CUBIC) * x * x * x)).tanh();
    let slope = R::constant(GELU_SCALE) * (R::constant(1.0) + R::constant(3.0 * GELU_CUBIC) * x * x);
    R::constant(0.5) * (R::constant(1.0) + t) + R::constant(0.5) * x * (R::constant(1.0) - t * t) * slope
});
unary!(Silu, "x/(1 + e⁻ˣ)", (-4.0, 4.0), f: |x, _| x * x.sigmoid(), df: |x, _, _| {
    let s = x.sigmoid();
    s + x * s * (R::constant(1.0) - s)
});
unary!(Mish, "x·tanh(ln(1 + eˣ))", (-4.0, 4.0), f: |x, _| {
    x * (x.maximum(R::constant(0.0)) + (-x.abs()).exp().ln_1p()).tanh()
}, df: |x, _, _| {
    let t = (x.maximum(R::constant(0.0)) + (-x.abs()).exp().ln_1p()).tanh();
    t + x * (R::constant(1.0) - t * t) * x.sigmoid()
});
unary!(HardSigmoid, "min(max(x/6 + 1/2, 0), 1)", (-4.0, 4.0), f: |x, _| {
    x.mul_add(R::constant(1.0 / 6.0), R::constant(0.5)).maximum(R::constant(0.0)).minimum(R::constant(1.0))
}, df: |_, y, _| {
    let zero = R::constant(0.0);
    zero.if_less(y, y.if_less(R::constant(1.0), R::constant(1.0 / 6.0), zero), zero)
});
unary!(HardSwish, "x·min(max(x/6 + 1/2, 0), 1)", (-4.0, 4.0), f: |x, _| {
    x * x.mul_add(R::constant(1.0 / 6.0), R::constant(0.5)).maximum(R::constant(0.0)).minimum(R::constant(1.0))
}, df: |x, _, _| {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    let middle = x.mul_add(R::constant(1.0 / 3.0), R::constant(0.5));
    x.if_less(R::constant(-3.0), zero, R::constant(3.0).if_less(x, one, middle))
});
