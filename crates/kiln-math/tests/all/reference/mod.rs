//! The operations' values and derivatives in f64, by the standard library's functions, and how far f32 may be off.

use kiln_math::UnaryOp;
use std::f64::consts::{FRAC_2_SQRT_PI, PI, SQRT_2};

/// What an error may be: so many units of the last place of the exact number, plus so much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) units: f64,
    pub(crate) absolute: f64,
}

/// An operation, how it is computed in f64, and its errors' bounds.
pub(crate) struct Reference {
    pub(crate) op: UnaryOp,
    pub(crate) params: [f64; 2],
    pub(crate) f: fn(f64, [f64; 2]) -> f64,
    pub(crate) df: fn(f64, [f64; 2]) -> f64,
    pub(crate) value: Bound,
    pub(crate) slope: Bound,
    /// Up to which |x| the bounds hold.
    pub(crate) range: f32,
    /// From which size on a derivative may have overflowed, and a value.
    pub(crate) top: f64,
}

/// The unit of the last place of numbers from ½ to 1.
pub(crate) const E: f64 = 1.0 / 16_777_216.0;

/// The unit of f32's last place at a number of this size.
pub(crate) fn unit(exact: f64) -> f64 {
    let exponent = ((exact.abs().to_bits() >> 52) as i32 - 1023).clamp(-126, 128);
    2f64.powi(exponent - 23)
}

/// erfc a · e^(a²) for a ≥ 1, by its continued fraction.
fn scaled_erfc(a: f64) -> f64 {
    let terms = if a > 6.0 { 40 } else { 300 };
    let mut fraction = a;
    for k in (1..=terms).rev() {
        fraction = a + f64::from(k) * 0.5 / fraction;
    }
    1.0 / (fraction * PI.sqrt())
}

/// erf of |x| below 1, by its series.
fn erf_near(x: f64) -> f64 {
    let mut factorial: f64 = (1..=25u32).map(f64::from).product();
    let mut sum = 0.0;
    for n in (0..=25u32).rev() {
        sum = 1.0 / (factorial * f64::from(2 * n + 1)) - x * x * sum;
        factorial /= f64::from(n.max(1));
    }
    FRAC_2_SQRT_PI * sum * x
}

pub(crate) fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 1.0 {
        return erf_near(x);
    }
    (1.0 - if a > 6.0 { 0.0 } else { (-a * a).exp() * scaled_erfc(a) }).copysign(x)
}

/// The normal distribution's Φ.
fn normal_cdf(x: f64) -> f64 {
    let a = x.abs() / SQRT_2;
    if a < 1.0 {
        return 0.5 * (1.0 + erf_near(x / SQRT_2));
    }
    // x² is exact for an x of f32.
    let tail = if a > 40.0 { 0.0 } else { 0.5 * (-0.5 * x * x).exp() * scaled_erfc(a) };
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn normal_pdf(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1 − tanh² x
fn sech_squared(x: f64) -> f64 {
    let e = (-2.0 * x.abs()).exp();
    4.0 * e / ((1.0 + e) * (1.0 + e))
}

/// GELU's tanh form: twice the argument of its tanh, and that one's derivative.
fn gelu_inner(x: f64) -> (f64, f64) {
    let c = (2.0 / PI).sqrt();
    (2.0 * c * (x + 0.044_715 * x * x * x), 2.0 * c * (1.0 + 3.0 * 0.044_715 * x * x))
}

/// The y with erf y = x, by Newton's method on the smaller of erf and its rest to 1.
fn erfinv(x: f64) -> f64 {
    let a = x.abs();
    if a == 0.0 || a.is_nan() || a >= 1.0 {
        return if a == 1.0 {
            x / 0.0
        } else if a == 0.0 {
            x
        } else {
            f64::NAN
        };
    }
    let rest = |y: f64| if y < 1.0 { 1.0 - erf_near(y) } else { (-y * y).exp() * scaled_erfc(y) };
    let l = ((1.0 - a) * (1.0 + a)).ln();
    let t = 2.0 / (PI * 0.147) + 0.5 * l;
    let mut y = ((t * t - l / 0.147).sqrt() - t).sqrt();
    if a < 1e-3 {
        y = a / FRAC_2_SQRT_PI;
    }
    for _ in 0..4 {
        let off = if y < 1.0 { erf_near(y) - a } else { (1.0 - a) - rest(y) };
        y -= off / (FRAC_2_SQRT_PI * (-y * y).exp());
    }
    y.copysign(x)
}

/// The distance from the nearest integer, and πx's sine and cotangent from it.
fn circle(x: f64) -> (f64, f64, f64) {
    let r = x - x.round_ties_even();
    (r, (PI * r).sin(), (PI * r).cos() / (PI * r).sin())
}

/// ln |Γ(x)|: Stirling's formula thirty steps further up.
fn lgamma(x: f64) -> f64 {
    if x.is_nan() || x.is_infinite() {
        return x.abs();
    }
    if x < 0.0 {
        return PI.ln() - circle(x).1.abs().ln() - lgamma(1.0 - x);
    }
    let steps = if x > 30.0 { 0 } else { 30 };
    let product: f64 = (0..steps).map(|k| x + f64::from(k)).product();
    let a = x + f64::from(steps);
    let rest = 1.0 / (12.0 * a) - 1.0 / (360.0 * a.powi(3)) + 1.0 / (1260.0 * a.powi(5)) - 1.0 / (1680.0 * a.powi(7));
    (a - 0.5) * a.ln() - a + 0.5 * (2.0 * PI).ln() + rest - product.ln()
}

/// ψ(x), ψ′(x) and ψ″(x), by sums of their terms and Euler and Maclaurin's formula.
fn psi(x: f64) -> [f64; 3] {
    if x <= 0.0 {
        let (r, sine, cotangent) = circle(x);
        let [p, p1, p2] = psi(1.0 - x);
        let square = PI * PI / (sine * sine);
        let psi = if r == 0.0 && x < 0.0 { f64::NAN } else { p - PI * if r == 0.0 { 1.0 / x } else { cotangent } };
        return [psi, square - p1, p2 - 2.0 * PI * square * if r == 0.0 { f64::INFINITY } else { cotangent }];
    }
    let mut sums = [0.0; 3];
    for k in 0..30 {
        let t = 1.0 / (x + f64::from(k));
        sums = [sums[0] - t, sums[1] + t * t, sums[2] - 2.0 * t * t * t];
    }
    let a = x + 30.0;
    let t = 1.0 / a;
    let z = t * t;
    [
        sums[0] + a.ln() - t / 2.0 - z * (1.0 / 12.0 - z * (1.0 / 120.0 - z / 252.0)),
        sums[1] + t + z / 2.0 + t * z * (1.0 / 6.0 - z * (1.0 / 30.0 - z / 42.0)),
        sums[2] - z - t * z - z * z * (0.5 - z * (1.0 / 6.0 - z / 6.0)),
    ]
}

/// x rounded to a number of decimals in f32 arithmetic: multiplied by a power of 10, rounded, divided by it.
fn rounded_to(x: f64, decimals: f64) -> f64 {
    let (x, scale) = (x as f32, 10f32.powi(decimals.abs() as i32));
    let scaled = if decimals < 0.0 { x / scale } else { x * scale };
    let whole = scaled.round_ties_even();
    let all_integers = scaled.abs() >= 4.5e15 && decimals >= 0.0;
    f64::from(if all_integers {
        x
    } else if decimals < 0.0 {
        whole * scale
    } else {
        whole / scale
    })
}

const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

fn between(x: f64, low: f64, high: f64) -> f64 {
    if x > low && x < high { 1.0 } else { 0.0 }
}

/// All operations. A derivative that is made of the value alone, such as 1 − tanh², cannot be better than the value's
/// distance from 1; and sums that cancel are right beside the largest of their terms: those have an absolute bound.
pub(crate) fn references() -> Vec<Reference> {
    use UnaryOp::*;
    let mut all = Vec::new();
    macro_rules! add {
        ($($op:ident $([$($p:expr),+])?, $value:expr, $slope:expr, $f:expr, $df:expr $(, up to $range:expr)? $(, finite to $top:expr)?;)+) => {$({
            #[allow(unused_mut, unused_assignments)]
            let (mut params, mut range, mut top) = ([0.0; 2], f32::MAX, 1.0);
            $( for (to, p) in params.iter_mut().zip([$($p),+]) { *to = f64::from(p as f32); } )?
            let bound = |(units, absolute): (f64, f64)| Bound { units, absolute };
            $( range = $range; )?
            $( top = $top; )?
            let top = top * 2f64.powi(128);
            all.push(Reference { op: $op, params, f: $f, df: $df, value: bound($value), slope: bound($slope), range, top });
        })+};
    }
    add! {
        Neg, (0.0, 1e-300), (0.0, 1e-300), |x, _| -x, |_, _| -1.0;
        Abs, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.abs(), |x, _| if x == 0.0 { 0.0 } else { x.signum() };
        Sign, (0.0, 1e-300), (0.0, 1e-300), |x, _| if x == 0.0 { 0.0 } else { x.signum() }, |_, _| 0.0;
        Square, (0.5, 0.0), (0.5, 0.0), |x, _| x * x, |x, _| 2.0 * x;
        Sqrt, (0.5, 0.0), (1.5, 0.0), |x, _| x.sqrt(), |x, _| 0.5 / x.sqrt();
        Rsqrt, (1.5, 0.0), (2.5, 0.0), |x, _| 1.0 / x.sqrt(), |x, _| -0.5 / x.sqrt() / x;
        Recip, (0.5, 0.0), (2.5, 0.0), |x, _| 1.0 / x, |x, _| -1.0 / x / x;
        Exp, (1.1, 0.0), (1.1, 0.0), |x, _| x.exp(), |x, _| x.exp();
        Exp2, (1.0, 0.0), (3.0, 0.0), |x, _| x.exp2(), |x, _| std::f64::consts::LN_2 * x.exp2();
        Expm1, (1.6, 0.0), (1.6, 2.0 * E), |x, _| x.exp_m1(), |x, _| x.exp();
        Ln, (1.0, 0.0), (0.5, 0.0), |x, _| x.ln(), |x, _| 1.0 / x;
        Ln1p, (1.6, 0.0), (1.5, 0.0), |x, _| x.ln_1p(), |x, _| 1.0 / (1.0 + x);
        Log2, (0.6, 0.0), (1.5, 0.0), |x, _| x.log2(), |x, _| std::f64::consts::LOG2_E / x;
        Log10, (0.6, 0.0), (1.5, 0.0), |x, _| x.log10(), |x, _| std::f64::consts::LOG10_E / x;
        Asin, (2.3, 0.0), (2.0, 0.0), |x, _| x.asin(), |x, _| 1.0 / ((1.0 - x) * (1.0 + x)).sqrt();
        Acos, (1.6, 0.0), (2.0, 0.0), |x, _| x.acos(), |x, _| -1.0 / ((1.0 - x) * (1.0 + x)).sqrt();
        Atan, (1.6, 0.0), (2.0, 1e-38), |x, _| x.atan(), |x, _| 1.0 / (1.0 + x * x); // x² overflows first
        Asinh, (4.0, 0.0), (1.5, 0.0), |x, _| x.asinh(), |x, _| 1.0 / x.hypot(1.0);
        Acosh, (5.0, 0.0), (4.0, 0.0), |x, _| x.acosh(), |x, _| 1.0 / ((x - 1.0).sqrt() * (x + 1.0).sqrt());
        Atanh, (4.0, 0.0), (2.5, 1e-38), |x, _| x.atanh(), |x, _| 1.0 / ((1.0 - x) * (1.0 + x));
        // The slope is e^(y²) of a rounded y.
        Erfinv, (0.6, 0.0), (20.0, 0.0), |x, _| erfinv(x), |x, _| erfinv(x).powi(2).exp() / FRAC_2_SQRT_PI;
        Lgamma, (0.6, 2e-13), (0.6, 2e-13), |x, _| lgamma(x), |x, _| psi(x)[0];
        Digamma, (0.6, 2e-13), (0.6, 0.0), |x, _| psi(x)[0], |x, _| psi(x)[1];
        Polygamma[1.0], (0.6, 0.0), (0.6, 1e-10), |x, _| psi(x)[1], |x, _| psi(x)[2];
        Sin, (1.6, 0.0), (1.6, 0.0), |x, _| x.sin(), |x, _| x.cos(), up to 1e5;
        Cos, (1.6, 0.0), (1.6, 0.0), |x, _| x.cos(), |x, _| -x.sin(), up to 1e5;
        Tan, (4.0, 0.0), (8.0, 0.0), |x, _| x.tan(), |x, _| 1.0 / (x.cos() * x.cos()), up to 1e5;
        Sinh, (4.0, 0.0), (4.0, 0.0), |x, _| x.sinh(), |x, _| x.cosh();
        Cosh, (4.0, 0.0), (4.0, 0.0), |x, _| x.cosh(), |x, _| x.sinh();
        Tanh, (1.5, 0.0), (1.0, 4.0 * E), |x, _| x.tanh(), |x, _| sech_squared(x);
        Erf, (1.1, 0.0), (3.0, 0.0), |x, _| erf(x), |x, _| FRAC_2_SQRT_PI * (-x * x).exp();
        Sigmoid, (2.4, 0.0), (4.0, 2.0 * E), |x, _| sigmoid(x), |x, _| sigmoid(x) * sigmoid(-x);
        LogSigmoid, (2.5, 0.0), (2.5, 0.0), |x, _| -softplus(-x), |x, _| sigmoid(-x);
        Softplus, (2.5, 0.0), (2.5, 0.0), |x, _| softplus(x), |x, _| sigmoid(x);
        SoftplusWith[2.0, 20.0], (3.5, 0.0), (2.5, 0.0), |x, [b, t]| if b * x > t { x } else { softplus(b * x) / b }, |x, [b, t]| if b * x > t { 1.0 } else { sigmoid(b * x) };
        HardShrink[0.5], (0.0, 1e-300), (0.0, 1e-300), |x, [l, _]| if x.abs() > l { x } else { 0.0 }, |x, [l, _]| if x.abs() > l { 1.0 } else { 0.0 };
        SoftShrink[0.3], (0.5, 0.0), (0.0, 1e-300), |x, [l, _]| if x > l { x - l } else if x < -l { x + l } else { 0.0 }, |x, [l, _]| if x.abs() > l { 1.0 } else { 0.0 };
        TanhShrink, (1.0, 2.0 * E), (4.0, 0.0), |x, _| x - x.tanh(), |x, _| x.tanh().powi(2);
        Threshold[0.3, -0.7], (0.0, 1e-300), (0.0, 1e-300), |x, [t, v]| if x > t { x } else { v }, |x, [t, _]| if x > t { 1.0 } else { 0.0 };
        Trunc, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.trunc(), |_, _| 0.0;
        RoundTo[2.0], (0.0, 1e-300), (0.0, 1e-300), |x, [d, _]| rounded_to(x, d), |_, _| 0.0;
        RoundTo[-3.0], (0.0, 1e-300), (0.0, 1e-300), |x, [d, _]| rounded_to(x, d), |_, _| 0.0;
        Softsign, (1.5, 0.0), (4.0, 0.0), |x, _| x / (1.0 + x.abs()), |x, _| 1.0 / ((1.0 + x.abs()) * (1.0 + x.abs()));
        Relu, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.max(0.0), |x, _| between(x, 0.0, f64::INFINITY);
        Relu6, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.clamp(0.0, 6.0), |x, _| between(x, 0.0, 6.0);
        LeakyRelu[0.01], (0.5, 0.0), (0.5, 0.0), |x, [s, _]| if x > 0.0 { x } else { s * x }, |x, [s, _]| if x > 0.0 { 1.0 } else { s };
        Elu[1.0], (2.1, 0.0), (1.0, 3.0 * E), |x, [a, _]| if x > 0.0 { x } else { a * x.exp_m1() }, |x, [a, _]| if x > 0.0 { 1.0 } else { a * x.exp() };
        Elu[1.3], (2.1, 0.0), (1.0, 6.0 * E), |x, [a, _]| if x > 0.0 { x } else { a * x.exp_m1() }, |x, [a, _]| if x > 0.0 { 1.0 } else { a * x.exp() };
        Celu[0.7], (4.0, 0.0), (1.0, 5.0 * E), |x, [a, _]| if x > 0.0 { x } else { a * (x / a).exp_m1() }, |x, [a, _]| if x > 0.0 { 1.0 } else { (x / a).exp() };
        Selu, (2.5, 0.0), (1.5, 6.0 * E), |x, _| SELU.0 * if x > 0.0 { x } else { SELU.1 * x.exp_m1() }, |x, _| SELU.0 * if x > 0.0 { 1.0 } else { SELU.1 * x.exp() };
        Gelu, (2.5, 6.0 * E), (4.0, 3.0 * E), |x, _| x * normal_cdf(x), |x, _| normal_cdf(x) + x * normal_pdf(x);
        GeluTanh, (4.0, 2.0 * E), (4.0, 6.0 * E), |x, _| x * sigmoid(gelu_inner(x).0), |x, _| {
            let (u, slope) = gelu_inner(x);
            let s = sigmoid(-u);
            sigmoid(u) + if s == 0.0 { 0.0 } else { x * sigmoid(u) * s * slope }
        };
        Silu, (3.5, 1e-43), (4.0, 2.0 * E), |x, _| x * sigmoid(x), |x, _| sigmoid(x) + x * sigmoid(x) * sigmoid(-x);
        Mish, (4.0, 1e-43), (4.0, 4.0 * E), |x, _| x * softplus(x).tanh(), |x, _| softplus(x).tanh() + x * sech_squared(softplus(x)) * sigmoid(x);
        HardSigmoid, (1.5, 0.0), (0.5, 0.0), |x, _| (x / 6.0 + 0.5).clamp(0.0, 1.0), |x, _| between(x, -3.0, 2.999_999_7) / 6.0; // the value of 2.9999998 is 1
        HardSwish, (2.5, 0.0), (2.0, 0.0), |x, _| x * ((x + 3.0) / 6.0).clamp(0.0, 1.0), |x, _| if x < -3.0 { 0.0 } else if x > 3.0 { 1.0 } else { x / 3.0 + 0.5 };
        Floor, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.floor(), |_, _| 0.0;
        Ceil, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.ceil(), |_, _| 0.0;
        Round, (0.0, 1e-300), (0.0, 1e-300), |x, _| x.round_ties_even(), |_, _| 0.0;
        Affine[1.7, -0.3], (0.55, 0.0), (0.5, 0.0), |x, [a, b]| a.mul_add(x, b), |_, [a, _]| a;
        Clamp[-0.7, 0.9], (0.0, 1e-300), (0.0, 1e-300), |x, [a, b]| x.clamp(a, b), |x, [a, b]| between(x, a, b);
        Powf[2.0], (0.6, 0.0), (2.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0);
        Powf[3.0], (0.6, 0.0), (2.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0);
        Powf[-1.0], (0.6, 0.0), (2.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0);
        Powf[0.5], (0.6, 0.0), (2.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0);
        Powf[-2.5], (0.6, 0.0), (2.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0);
        // e − 1 is rounded, which large and small x see.
        Powf[0.01], (0.6, 0.0), (40.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0), finite to 0.009_999;
        Powf[-0.1], (0.6, 0.0), (40.0, 0.0), |x, [e, _]| x.powf(e), |x, [e, _]| e * x.powf(e - 1.0), finite to 0.099_99;
        Powf[0.0], (0.6, 0.0), (2.0, 0.0), |x, [e, _]| x.powf(e), |_, _| 0.0;
    }
    all
}
