//! ln(1 + x), accurate near 0: at most 1.6 (f32) or 1.7 (f64) units of the last place off.

use super::{MulAdd, ln, ln_f64, select};

/// ln(1 + x)
#[inline(always)]
pub fn ln_1p<M: MulAdd>(x: f32) -> f32 {
    // ln u for u = 1 + x rounded, and what the rounding lost.
    let u = 1.0 + x;
    let lost = x - (u - 1.0);
    let y = ln::<M>(u) + select(u > 0.0 && u < f32::INFINITY, lost / u, 0.0);
    select(u == 1.0, x, y)
}

/// ln(1 + x)
#[inline(always)]
pub fn ln_1p_f64<M: MulAdd>(x: f64) -> f64 {
    let u = 1.0 + x;
    let lost = x - (u - 1.0);
    let y = ln_f64::<M>(u) + select(u > 0.0 && u < f64::INFINITY, lost / u, 0.0);
    select(u == 1.0, x, y)
}
