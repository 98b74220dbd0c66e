//! 1 / (1 + e⁻ˣ): at most 2.4 units of the last place off, in f32 and f64.

use super::{MulAdd, exp, exp_f64, select};

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    // e^(−|x|) cannot overflow; eˣ / (1 + eˣ) keeps the digits of small results.
    let z = exp::<M>(-x.abs());
    select(x < 0.0, z, 1.0) / (1.0 + z)
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub fn sigmoid_f64<M: MulAdd>(x: f64) -> f64 {
    let z = exp_f64::<M>(-x.abs());
    select(x < 0.0, z, 1.0) / (1.0 + z)
}
