//! eˣ and what is made of it.

use super::{MulAdd, ROUNDING, polynomial, select};

/// ln 2 in two parts; the first has zeros at its end, so that its products with small integers are exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// 2ⁿ for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// x = n · ln 2 + r, |r| ≤ ln 2 / 2. For NaN n is some integer and r NaN.
#[inline(always)]
fn reduce<M: MulAdd>(x: f32) -> (i32, f32) {
    let shifted = M::mul_add(x, std::f32::consts::LOG2_E, ROUNDING);
    let n = shifted - ROUNDING;
    let r = M::mul_add(n, -LN2_LOW, M::mul_add(n, -LN2_HIGH, x));
    (shifted.to_bits().wrapping_sub(ROUNDING.to_bits()) as i32, r)
}

/// eʳ − 1 for |r| ≤ ln 2 / 2.
#[inline(always)]
fn expm1_reduced<M: MulAdd>(r: f32) -> f32 {
    let p = polynomial::<M, 6>(r, [1.987_569_2e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    M::mul_add(p * r, r, r)
}

/// eˣ: 0 below −104, infinite above 88.73.
#[inline(always)]
pub fn exp<M: MulAdd>(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite all the same; NaN passes.
    let x = select(x > 89.0, 89.0, select(x < -105.0, -105.0, x));
    let (n, r) = reduce::<M>(x);
    // In two steps: 2ⁿ itself may be out of range where the result is subnormal.
    let half = n >> 1;
    (expm1_reduced::<M>(r) + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// eˣ − 1
#[inline(always)]
pub fn expm1<M: MulAdd>(x: f32) -> f32 {
    let y = select(x > 89.0, 89.0, select(x < -18.0, -18.0, x));
    let (n, r) = reduce::<M>(y);
    let half = n >> 1;
    let (s, t) = (power_of_two(half), power_of_two(n.wrapping_sub(half)));
    // 2ⁿ·(eʳ − 1) + (2ⁿ − 1): exact where n is 0, and the second term is exact up to 2²⁴.
    let big = (expm1_reduced::<M>(r) + 1.0) * s * t - 1.0;
    let scale = s * t;
    let small = M::mul_add(expm1_reduced::<M>(r), scale, scale - 1.0);
    let result = select(n > 60, big, small);
    select(n == 0 && r == y, expm1_reduced::<M>(y), result)
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<M>(-x))
}
