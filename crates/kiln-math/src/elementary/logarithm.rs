//! ln x and powers.

use super::{MulAdd, exponential::exp, polynomial, select};

const SQRT_HALF_BITS: u32 = 0x3f35_04f3;

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
    let y = select(x == f32::INFINITY, f32::INFINITY, y);
    let y = select(x == 0.0, f32::NEG_INFINITY, y);
    // False for NaN too, which thereby stays.
    select(x >= 0.0, y, f32::NAN)
}

/// ln(1 + x)
#[inline(always)]
pub fn ln_1p<M: MulAdd>(x: f32) -> f32 {
    // ln u for u = 1 + x rounded, and what the rounding lost.
    let u = 1.0 + x;
    let lost = x - (u - 1.0);
    let y = ln::<M>(u) + select(u > 0.0 && u < f32::INFINITY, lost / u, 0.0);
    select(u == 1.0, x, y)
}

/// x to the power of e, by e^(e·ln|x|): NaN of a negative x unless e is an integer; 1 where e is 0 or x is 1.
#[inline(always)]
pub fn powf<M: MulAdd>(x: f32, e: f32) -> f32 {
    let size = exp::<M>(e * ln::<M>(x.abs()));
    let integer = e.round_ties_even() == e;
    let half = e * 0.5;
    let odd = integer && half.round_ties_even() != half;
    let signed = select(x < 0.0 && odd, -size, size);
    let y = select(x < 0.0 && !integer, f32::NAN, signed);
    select(e == 0.0 || x == 1.0, 1.0, y)
}
