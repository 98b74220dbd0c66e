//! Conversion to f32 on the way to a narrower type.
//!
//! Rounding to nearest twice is not rounding once: 1 + 2⁻¹¹ + 2⁻⁴⁰ becomes 1 + 2⁻¹¹ in f32, a tie for f16, and then 1, where
//! 1 + 2⁻¹⁰ is nearer. Rounded to odd, what was lost leaves its mark in the last bit, where a later rounding finds it; that one is
//! then right if it drops two bits or more. Source: Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved
//! algorithms using rounding to odd", 2008.

/// x in f32; of the two neighbors of a number that f32 lacks, the one whose last bit is 1.
///
/// Rounded on to nearest even in f16 or bf16 this is x rounded once, subnormal numbers and overflow included. A finite x beyond
/// f32's largest number gives that one; infinities and NaN stay what they are.
#[inline(always)]
#[must_use]
pub fn round_to_odd(x: f64) -> f32 {
    let near = x as f32;
    let (back, bits) = (f64::from(near), near.to_bits());
    // Signs apart, floats are in the order of their bits; the neighbor on x's other side is odd where this one is even.
    let odd = if back.abs() > x.abs() { bits.wrapping_sub(1) } else { bits.wrapping_add(1) };
    let exact = back == x || x.is_nan();
    if exact || bits & 1 == 1 { near } else { f32::from_bits(odd) }
}

/// As [`round_to_odd`], of an integer.
#[inline(always)]
#[must_use]
pub fn round_integer_to_odd(x: i64) -> f32 {
    // f64 holds integers of 53 bits; of a larger one the last eleven bits become one.
    let lost = x.unsigned_abs() >> 53 != 0 && x & 0x7ff != 0;
    round_to_odd(if lost { x & !0x7ff | 0x800 } else { x } as f64)
}
