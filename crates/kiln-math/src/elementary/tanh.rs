//! tanh x: at most 1.5 (f32) or 2.5 (f64) units of the last place off.

use super::{MulAdd, exp, expm1_f64, polynomial, select};

/// tanh x
#[inline(always)]
pub fn tanh<M: MulAdd>(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = polynomial::<M, 5>(z, [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let small = M::mul_add(p * z, x, x);
    let big = (1.0 - 2.0 / (exp::<M>(a + a) + 1.0)).copysign(x);
    // NaN takes the first way and stays.
    select(a > 0.625, big, small)
}

/// tanh x, as t / (t + 2) for t = e^(2|x|) − 1.
#[inline(always)]
pub fn tanh_f64<M: MulAdd>(x: f64) -> f64 {
    let a = x.abs();
    let t = expm1_f64::<M>(2.0 * select(a > 22.0, 22.0, a));
    (t / (t + 2.0)).copysign(x)
}
