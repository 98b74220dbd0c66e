//! Inverse circular and hyperbolic functions.

use super::unary;

/// Above this |x| the square root of x² ± 1 is |x| in f64 too.
const LARGE: f64 = 1e10;

unary!(Asin, "asin x", (-0.95, 0.95), f: |x, _| x.asin(), df: |x, _, _| {
    let one = R::constant(1.0);
    one / ((one - x) * (one + x)).sqrt()
});
unary!(Acos, "acos x", (-0.95, 0.95), f: |x, _| x.acos(), df: |x, _, _| {
    let one = R::constant(1.0);
    -(one / ((one - x) * (one + x)).sqrt())
});
unary!(Atan, "atan x", (-3.0, 3.0), f: |x, _| x.atan(), df: |x, _, _| {
    R::constant(1.0) / x.mul_add(x, R::constant(1.0))
});
unary!(Asinh, "ln(x + √(x² + 1))", (-3.0, 3.0), f: |x, _| {
    let (one, a) = (R::constant(1.0), x.abs());
    let square = a * a;
    let near = (a + square / (one + (one + square).sqrt())).ln_1p();
    let far = a.ln() + R::constant(core::f64::consts::LN_2);
    R::constant(LARGE).if_less(a, far, near).copysign(x)
}, df: |x, _, _| R::constant(1.0) / x.hypot(R::constant(1.0)));
unary!(/// NaN below 1.
    Acosh, "ln(x + √(x² - 1))", (1.05, 4.0), f: |x, _| {
    let t = x - R::constant(1.0);
    // A root each: their product would be positive below −1 too.
    let near = (t + t.sqrt() * (t + R::constant(2.0)).sqrt()).ln_1p();
    R::constant(LARGE).if_less(x, x.ln() + R::constant(core::f64::consts::LN_2), near)
}, df: |x, _, _| {
    let one = R::constant(1.0);
    one / ((x - one).sqrt() * (x + one).sqrt())
});
unary!(/// ±∞ of ±1, NaN beyond.
    Atanh, "ln((1 + x)/(1 - x))/2", (-0.95, 0.95), f: |x, _| {
    let a = x.abs();
    (R::constant(0.5) * ((a + a) / (R::constant(1.0) - a)).ln_1p()).copysign(x)
}, df: |x, _, _| {
    let one = R::constant(1.0);
    one / ((one - x) * (one + x))
});
