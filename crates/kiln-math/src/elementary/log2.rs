//! log₂ x and log₁₀ x: at most 0.6 units of the last place off; exact where the logarithm is an integer.

use super::ln::{at_the_ends, ln_pair};
use super::product::product;
use super::{MulAdd, ln_f64};
use core::f64::consts::{LOG2_E, LOG10_E};

/// What log₂ e and log₁₀ e lost when they were rounded.
const LOG2_E_LOW: f64 = 2.035_527_374_093_103_3e-17;
const LOG10_E_LOW: f64 = 1.098_319_650_216_765e-17;

/// ln x times a constant in two parts.
#[inline(always)]
fn scaled_ln<M: MulAdd>(x: f64, scale: f64, scale_low: f64) -> f64 {
    let (high, low) = ln_pair::<M>(x);
    let (y, y_low) = product::<M>(high, scale);
    let y = y + M::mul_add_f64(high, scale_low, M::mul_add_f64(low, scale, y_low));
    at_the_ends(x, y, f64::INFINITY, f64::NAN)
}

/// log₂ x: −∞ of 0, NaN of negative numbers.
#[inline(always)]
pub fn log2_f64<M: MulAdd>(x: f64) -> f64 {
    scaled_ln::<M>(x, LOG2_E, LOG2_E_LOW)
}

/// log₁₀ x: −∞ of 0, NaN of negative numbers.
#[inline(always)]
pub fn log10_f64<M: MulAdd>(x: f64) -> f64 {
    scaled_ln::<M>(x, LOG10_E, LOG10_E_LOW)
}

/// log₂ x: −∞ of 0, NaN of negative numbers. Computed in f64.
#[inline(always)]
pub fn log2<M: MulAdd>(x: f32) -> f32 {
    (ln_f64::<M>(x.into()) * LOG2_E) as f32
}

/// log₁₀ x: −∞ of 0, NaN of negative numbers. Computed in f64.
#[inline(always)]
pub fn log10<M: MulAdd>(x: f32) -> f32 {
    (ln_f64::<M>(x.into()) * LOG10_E) as f32
}
