//! Activation functions.

use super::trigonometric::gaussian;
use super::unary;
use crate::Real;

/// α and λ of SELU (Klambauer et al. 2017).
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
/// √(2/π) and the cubic coefficient of GELU's tanh form (Hendrycks & Gimpel 2016).
const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;
/// Beyond this |x| its sigmoid is 0 or 1 in f64 too, and no power of x overflows.
const GELU_LIMIT: f64 = 25.0;

/// 2·√(2/π)·(x + 0.044715·x³), and x times its derivative.
#[inline(always)]
fn gelu_argument<R: Real>(x: R) -> (R, R) {
    let limit = R::constant(GELU_LIMIT);
    let x = x.maximum(-limit).minimum(limit);
    let (scaled, square) = (R::constant(2.0 * GELU_SCALE) * x, x * x);
    let at = |cubic: f64| scaled * square.mul_add(R::constant(cubic), R::constant(1.0));
    (at(GELU_CUBIC), at(3.0 * GELU_CUBIC))
}

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
unary!(SoftplusWith, "beta·x > threshold ? x : ln(1 + exp(beta·x))/beta", (-4.0, 4.0), f: |x, [beta, threshold]| {
    let z = beta * x;
    let soft = (z.maximum(R::constant(0.0)) + (-z.abs()).exp().ln_1p()) / beta;
    threshold.if_less(z, x, soft)
}, df: |x, _, [beta, threshold]| {
    let z = beta * x;
    threshold.if_less(z, R::constant(1.0), z.sigmoid())
});
unary!(Softsign, "x/(1 + |x|)", (-3.0, 3.0), f: |x, _| x / (R::constant(1.0) + x.abs()), df: |x, _, _| {
    // The square of the quotient: that of 1 + |x| overflows.
    let q = R::constant(1.0) / (R::constant(1.0) + x.abs());
    q * q
});
unary!(Gelu, "x·(1 + erf(x/√2))/2", (-3.0, 3.0), f: |x, _| {
    R::constant(0.5) * x * (R::constant(1.0) + (x * R::constant(core::f64::consts::FRAC_1_SQRT_2)).erf())
}, df: |x, _, _| {
    let cdf = R::constant(0.5) * (R::constant(1.0) + (x * R::constant(core::f64::consts::FRAC_1_SQRT_2)).erf());
    let pdf = R::constant(0.398_942_280_401_432_7) * gaussian(x, 0.5);
    // No more than that beyond: ∞·0.
    x.maximum(R::constant(-40.0)).minimum(R::constant(40.0)).mul_add(pdf, cdf)
});
unary!(/// (1 + tanh u)/2 is the sigmoid of 2u, which keeps the digits of small results.
    GeluTanh, "x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2", (-3.0, 3.0), f: |x, _| x * gelu_argument(x).0.sigmoid(), df: |x, _, _| {
    let (argument, slope) = gelu_argument(x);
    let (s, rest) = sigmoid_and_rest(argument);
    s + slope * (s * rest)
});
/// The sigmoid of x and of −x: their sum is 1, from which neither could be taken without losing the smaller one.
#[inline(always)]
fn sigmoid_and_rest<R: Real>(x: R) -> (R, R) {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    let z = (-x.abs()).exp();
    let larger = one / (one + z);
    let smaller = z * larger;
    (x.if_less(zero, smaller, larger), x.if_less(zero, larger, smaller))
}

unary!(Silu, "x/(1 + e⁻ˣ)", (-4.0, 4.0), f: |x, _| x * x.sigmoid(), df: |x, _, _| {
    let (s, rest) = sigmoid_and_rest(x);
    s + x * (s * rest)
});
unary!(Mish, "x·tanh(ln(1 + eˣ))", (-4.0, 4.0), f: |x, _| {
    x * (x.maximum(R::constant(0.0)) + (-x.abs()).exp().ln_1p()).tanh()
}, df: |x, _, _| {
    let t = (x.maximum(R::constant(0.0)) + (-x.abs()).exp().ln_1p()).tanh();
    t + x * (R::constant(1.0) - t * t) * x.sigmoid()
});
/// (x + 3)/6, whose sum is exact beside −3, between 0 and 1.
#[inline(always)]
fn hard_sigmoid<R: Real>(x: R) -> R {
    (x + R::constant(3.0)).maximum(R::constant(0.0)).minimum(R::constant(6.0)) * R::constant(1.0 / 6.0)
}

unary!(HardSigmoid, "min(max(x/6 + 1/2, 0), 1)", (-4.0, 4.0), f: |x, _| {
    hard_sigmoid(x)
}, df: |_, y, _| {
    let zero = R::constant(0.0);
    zero.if_less(y, y.if_less(R::constant(1.0), R::constant(1.0 / 6.0), zero), zero)
});
unary!(HardSwish, "x·min(max(x/6 + 1/2, 0), 1)", (-4.0, 4.0), f: |x, _| {
    x * hard_sigmoid(x)
}, df: |x, _, _| {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    let middle = (x + R::constant(1.5)) * R::constant(1.0 / 3.0);
    x.if_less(R::constant(-3.0), zero, R::constant(3.0).if_less(x, one, middle))
});
