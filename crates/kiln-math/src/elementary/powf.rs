//! xᵉ: at most 0.6 units of the last place off in f32; in f64 1.5 for |e·ln x| ≤ 30, up to 20 near overflow.

use super::exp::exp_sum_f64;
use super::ln::{split_f64, tail_f64};
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

/// a · b as the rounded product and what it lost.
#[inline(always)]
fn product<M: MulAdd>(a: f64, b: f64) -> (f64, f64) {
    let high = a * b;
    let low = if M::FUSED {
        M::mul_add_f64(a, b, -high)
    } else {
        // Veltkamp's and Dekker's splitting.
        let halves = |x: f64| {
            let t = 134_217_729.0 * x;
            let top = t - (t - x);
            (top, x - top)
        };
        let ((a1, a2), (b1, b2)) = (halves(a), halves(b));
        ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2
    };
    (high, low)
}

/// ln x of positive finite x in two parts, to about 2⁻⁶⁰ of its size.
#[inline(always)]
fn ln_pair<M: MulAdd>(x: f64) -> (f64, f64) {
    let (e, f) = split_f64(x);
    // s = f / (2 + f) in two parts
    let d = 2.0 + f;
    let d_low = f - (d - 2.0);
    let s = f / d;
    let (p, p_low) = product::<M>(s, d);
    let s_low = (((f - p) - p_low) - s * d_low) / d;
    // ln(1 + f) = 2s + s·tail(s²)
    let tail = s * tail_f64::<M>(s * s);
    let (a, b) = (2.0 * s, 2.0 * s_low + tail);
    let high = a + b;
    let low = (a - high) + b;
    // + e · ln 2; the product with its first 42 bits is exact
    const LN2_HIGH: f64 = 0.693_147_180_559_890_3;
    const LN2_LOW: f64 = 5.497_923_018_708_371e-14;
    let t = e * LN2_HIGH;
    let sum = t + high;
    let lost = select(e == 0.0, high - sum, (t - sum) + high);
    (sum, lost + M::mul_add_f64(e, LN2_LOW, low))
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
