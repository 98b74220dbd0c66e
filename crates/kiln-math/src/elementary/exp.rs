//! eˣ: at most 1.1 units of the last place off, in f32 and f64.

use super::{MulAdd, ROUNDING, ROUNDING_F64, polynomial, polynomial_f64, select};

/// ln 2 in two parts; the first has zeros at its end, so that its products with small integers are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
const LN2_HIGH_F64: f64 = 0.693_147_180_559_890_3; // 42 bits
const LN2_LOW_F64: f64 = 5.497_923_018_708_371e-14;

/// 2ⁿ for −126 ≤ n ≤ 127.
#[inline(always)]
pub(super) fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// 2ⁿ for −1022 ≤ n ≤ 1023, of n + [`ROUNDING_F64`]: no conversion, which AVX2 has none of for 64 bits.
#[inline(always)]
pub(super) fn power_of_two_f64(shifted: f64) -> f64 {
    f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52))
}

/// x = n · ln 2 + r, |r| ≤ ln 2 / 2. For NaN n is some integer and r NaN.
#[inline(always)]
pub(super) fn reduce<M: MulAdd>(x: f32) -> (i32, f32) {
    let shifted = M::mul_add(x, core::f32::consts::LOG2_E, ROUNDING);
    let n = shifted - ROUNDING;
    let r = M::mul_add(n, -LN2_LOW, M::mul_add(n, -LN2_HIGH, x));
    (shifted.to_bits().wrapping_sub(ROUNDING.to_bits()) as i32, r)
}

/// As [`reduce`], in f64.
#[inline(always)]
pub(super) fn reduce_f64<M: MulAdd>(x: f64) -> (f64, f64) {
    let n = M::mul_add_f64(x, core::f64::consts::LOG2_E, ROUNDING_F64) - ROUNDING_F64;
    (n, M::mul_add_f64(n, -LN2_LOW_F64, M::mul_add_f64(n, -LN2_HIGH_F64, x)))
}

/// eʳ − 1 for |r| ≤ ln 2 / 2.
#[inline(always)]
pub(super) fn expm1_reduced<M: MulAdd>(r: f32) -> f32 {
    let p = polynomial::<M, 6>(r, [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    M::mul_add(p * r, r, r)
}

/// As [`expm1_reduced`], in f64, by Taylor's series.
#[inline(always)]
pub(super) fn expm1_reduced_f64<M: MulAdd>(r: f64) -> f64 {
    let p = polynomial_f64::<M, 12>(
        r,
        [
            1.0 / 6_227_020_800.0, // 1/13!
            1.0 / 479_001_600.0,
            1.0 / 39_916_800.0,
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5_040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
        ],
    );
    M::mul_add_f64(p * r, r, r)
}

/// y · 2ⁿ in two steps: 2ⁿ itself may be out of range where the product is subnormal, or barely finite.
#[inline(always)]
pub(super) fn scale(y: f32, n: i32) -> f32 {
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// As [`scale`], in f64.
#[inline(always)]
pub(super) fn scale_f64(y: f64, n: f64) -> f64 {
    let shifted = n * 0.5 + ROUNDING_F64;
    let half = shifted - ROUNDING_F64;
    y * power_of_two_f64(shifted) * power_of_two_f64(n - half + ROUNDING_F64)
}

/// eˣ: 0 below −104, infinite above 88.73.
#[inline(always)]
pub fn exp<M: MulAdd>(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite all the same; NaN passes.
    let x = select(x > 89.0, 89.0, select(x < -105.0, -105.0, x));
    let (n, r) = reduce::<M>(x);
    scale(expm1_reduced::<M>(r) + 1.0, n)
}

/// eˣ: 0 below −745.2, infinite above 709.79.
#[inline(always)]
pub fn exp_f64<M: MulAdd>(x: f64) -> f64 {
    exp_sum_f64::<M>(x, 0.0)
}

/// e^(x + low), where `low` is small beside x: what its rounding lost.
#[inline(always)]
pub(super) fn exp_sum_f64<M: MulAdd>(x: f64, low: f64) -> f64 {
    let x = select(x > 710.0, 710.0, select(x < -746.0, -746.0, x));
    let (n, r) = reduce_f64::<M>(x);
    scale_f64(expm1_reduced_f64::<M>(r + low) + 1.0, n)
}
