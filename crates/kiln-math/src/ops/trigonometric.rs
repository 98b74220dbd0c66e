//! Circular and hyperbolic functions, and the error function.

use super::unary;

unary!(Sin, "sin x", (-3.0, 3.0), f: |x, _| x.sin(), df: |x, _, _| x.cos());
unary!(Cos, "cos x", (-3.0, 3.0), f: |x, _| x.cos(), df: |x, _, _| -x.sin());
unary!(Tan, "tan x", (-1.2, 1.2), f: |x, _| x.sin() / x.cos(), df: |_, y, _| y.mul_add(y, R::constant(1.0)));
unary!(/// By expm1, so that small x keep their digits.
    Sinh, "(eˣ - e⁻ˣ)/2", (-3.0, 3.0), f: |x, _| {
    let e = x.abs().expm1();
    let half = R::constant(0.5) * (e + e / (e + R::constant(1.0)));
    let big = R::constant(0.5) * (x.abs() * R::constant(0.5)).exp() * (x.abs() * R::constant(0.5)).exp();
    let y = x.abs().if_less(R::constant(30.0), half, big);
    x.if_less(R::constant(0.0), -y, y)
}, df: |x, _, _| R::constant(0.5) * (x.exp() + (-x).exp()));
unary!(Cosh, "(eˣ + e⁻ˣ)/2", (-3.0, 3.0), f: |x, _| R::constant(0.5) * (x.exp() + (-x).exp()), df: |x, _, _| R::constant(0.5) * (x.exp() - (-x).exp()));
unary!(Tanh, "tanh x", (-3.0, 3.0), f: |x, _| x.tanh(), df: |_, y, _| R::constant(1.0) - y * y);
unary!(Erf, "erf x = 2/√π ∫₀ˣ e^(-t²) dt", (-2.5, 2.5), f: |x, _| x.erf(), df: |x, _, _| R::constant(core::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp());
