//! xᵉ: at most 0.6 units of the last place off in f32; in f64 1.5 for |e·ln x| ≤ 30, up to 20 near overflow.

use super::exp::exp_sum_f64;
use super::ln::ln_pair;
use super::product::product;
use super::{MulAdd, exp_f64, ln_f64, select};
use crate::machine::Machine;

/// Signs and the values that the logarithm's way misses: `size` is |x|ᵉ.
#[inline(always)]
fn finish(x: f64, e: f64, size: f64) -> f64 {
    let integer = e.round_nearest() == e;
    let half = e * 0.5;
    let odd = integer && half.round_nearest() != half;
    // −0 and −∞ keep their sign under odd exponents.
    let negative = x.is_sign_negative();
    let signed = select(negative && odd, -size, size);
    let y = select(x < 0.0 && x > f64::NEG_INFINITY && !integer, f64::NAN, signed);
    select(e == 0.0 || x == 1.0, 1.0, y)
}

/// x to the power of e: NaN of a negative x unless e is an integer; 1 where e is 0 or x is 1. Computed in f64.
#[inline(always)]
pub fn powf<M: MulAdd>(x: f32, e: f32) -> f32 {
    let (base, exponent) = (f64::from(x), f64::from(e));
    // |x| = 1 makes 0·∞ of an infinite exponent.
    let log = ln_f64::<M>(base.abs());
    let size = exp_f64::<M>(select(log == 0.0, 0.0, exponent * log));
    finish(base, exponent, size) as f32
}

/// x to the power of e: NaN of a negative x unless e is an integer; 1 where e is 0 or x is 1.
#[inline(always)]
pub fn powf_f64<M: MulAdd>(x: f64, e: f64) -> f64 {
    let a = x.abs();
    let (high, low) = ln_pair::<M>(a);
    let (p, p_low) = product::<M>(e, high);
    let q = p + M::mul_add_f64(e, low, p_low);
    let rest = (p - q) + M::mul_add_f64(e, low, p_low);
    // At the ends of the range there is no second part, and the logarithm of 0 and ∞ is its own.
    let ordinary = a > 0.0 && a < f64::INFINITY && p.abs() < 800.0;
    let log = ln_f64::<M>(a);
    let exponent = select(ordinary, q, select(log == 0.0, 0.0, e * log));
    let size = exp_sum_f64::<M>(exponent, select(ordinary, rest, 0.0));
    finish(x, e, size)
}
