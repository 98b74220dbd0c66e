//! ln x: at most 0.9 (f32) or 1.0 (f64) units of the last place off.

use super::product::product;
use super::{MulAdd, polynomial, polynomial_f64, select};

const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
const SQRT_HALF_BITS_F64: u64 = 0x3fe6_a09e_0000_0000;
const LN2_HIGH_F64: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW_F64: f64 = 1.908_214_929_270_587_7e-10;

/// ln x: −∞ of 0, NaN of negative numbers.
#[inline(always)]
pub fn ln<M: MulAdd>(x: f32) -> f32 {
    // Subnormal numbers are scaled up first.
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = select(tiny, x * 8_388_608.0, x);
    // x = m · 2ᵉ, √½ ≤ m < √2
    let bits = scaled.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = (bits as i32) >> 23;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS));
    let e = e as f32 - select(tiny, 23.0, 0.0);
    let f = m - 1.0;
    let z = f * f;
    let p = polynomial::<M, 9>(
        f,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_7e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ],
    );
    let y = M::mul_add(e, -2.121_944_4e-4, f * z * p);
    let y = M::mul_add(z, -0.5, y);
    let y = M::mul_add(e, 0.693_359_4, f + y);
    at_the_ends(x, y, f32::INFINITY, f32::NAN)
}

/// The values of 0, ∞ and negative numbers; NaN stays.
#[inline(always)]
pub(super) fn at_the_ends<T: Copy + Default + PartialOrd + core::ops::Neg<Output = T>>(
    x: T,
    y: T,
    infinity: T,
    nan: T,
) -> T {
    let zero = T::default();
    let y = select(x == infinity, infinity, y);
    let y = select(x == zero, -infinity, y);
    // False for NaN too, which thereby stays.
    select(x >= zero, y, nan)
}

/// x = m · 2ᵉ with √½ ≤ m < √2, of positive finite x; returns (e, m − 1), both exact.
#[inline(always)]
pub(super) fn split_f64(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let scaled = select(tiny, x * 4_503_599_627_370_496.0, x);
    // The exponent counted from 0 up, so that a shift without sign will do; it becomes a float in the bits of 2⁵² + e.
    let bits = scaled.to_bits().wrapping_add(0x3ff0_0000_0000_0000 - SQRT_HALF_BITS_F64);
    let e = f64::from_bits((bits >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0);
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF_BITS_F64));
    (e - select(tiny, 52.0, 0.0), m - 1.0)
}

/// (ln(1 + f) − 2s) / s for s = f/(2 + f), as a polynomial in z = s².
#[inline(always)]
pub(super) fn tail_f64<M: MulAdd>(z: f64) -> f64 {
    let p = polynomial_f64::<M, 7>(
        z,
        [
            1.479_819_860_511_658_6e-1,
            1.531_383_769_920_937_3e-1,
            1.818_357_216_161_805e-1,
            2.222_219_843_214_978_4e-1,
            2.857_142_874_366_239e-1,
            3.999_999_999_940_942e-1,
            6.666_666_666_666_735e-1,
        ],
    );
    z * p
}

/// ln x: −∞ of 0, NaN of negative numbers.
#[inline(always)]
pub fn ln_f64<M: MulAdd>(x: f64) -> f64 {
    let (e, f) = split_f64(x);
    let s = f / (2.0 + f);
    let half_square = 0.5 * f * f;
    let r = s * (half_square + tail_f64::<M>(s * s));
    let low = M::mul_add_f64(e, LN2_LOW_F64, r);
    let y = M::mul_add_f64(e, LN2_HIGH_F64, f - (half_square - low));
    at_the_ends(x, y, f64::INFINITY, f64::NAN)
}

/// ln x of positive finite x in two parts, to about 2⁻⁶⁰ of its size.
#[inline(always)]
pub(super) fn ln_pair<M: MulAdd>(x: f64) -> (f64, f64) {
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
