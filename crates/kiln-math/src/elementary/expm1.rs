//! eˣ − 1, accurate near 0: at most 1.6 (f32) or 1.7 (f64) units of the last place off.

use super::exp::{expm1_reduced, expm1_reduced_f64, reduce, reduce_f64, scale, scale_f64};
use super::{MulAdd, exp::power_of_two, exp::power_of_two_f64, select};

/// eˣ − 1
#[inline(always)]
pub fn expm1<M: MulAdd>(x: f32) -> f32 {
    let y = select(x > 89.0, 89.0, select(x < -18.0, -18.0, x));
    let (n, r) = reduce::<M>(y);
    let p = expm1_reduced::<M>(r);
    // 2ⁿ·(eʳ − 1) + (2ⁿ − 1): the second term is exact where it matters, and where n is 0 that is p itself.
    let power = power_of_two(n);
    let near = M::mul_add(p, power, power - 1.0);
    select(n > 60, scale(p + 1.0, n) - 1.0, select(n == 0, p, near))
}

/// eˣ − 1
#[inline(always)]
pub fn expm1_f64<M: MulAdd>(x: f64) -> f64 {
    let y = select(x > 710.0, 710.0, select(x < -40.0, -40.0, x));
    let (n, r) = reduce_f64::<M>(y);
    let p = expm1_reduced_f64::<M>(r);
    let power = power_of_two_f64(n + super::ROUNDING_F64);
    let near = M::mul_add_f64(p, power, power - 1.0);
    select(n > 100.0, scale_f64(p + 1.0, n) - 1.0, select(n == 0.0, p, near))
}
