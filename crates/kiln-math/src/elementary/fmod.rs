//! The remainder of a division whose quotient is cut to an integer, C's `fmod`: exact.

use super::{MulAdd, select};
use crate::machine::Machine;

/// x − n·y, where n is x/y without its fraction; it has x's sign. NaN of an infinite x and of a y of 0.
///
/// In f64 a step leaves at most y times the rounding of the quotient, so 52 bits of the quotient go with each: six steps are
/// enough for any two numbers of f32. Without a fused multiply-add the quotient has 26 bits, so that its product is exact.
#[inline(always)]
pub fn fmod<M: MulAdd>(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x.abs()), f64::from(y.abs()));
    let inverse = 1.0 / b;
    let mut r = a;
    let mut i = 0;
    while i < if M::FUSED { 6 } else { 12 } {
        let q = r * inverse;
        let q = if M::FUSED { q } else { f64::from_bits(q.to_bits() & !((1 << 27) - 1)) };
        r = M::mul_add_f64(-q.round_nearest(), b, r);
        i += 1;
    }
    let r = select(r < 0.0, r + b, r);
    // An infinite y leaves every finite x.
    select(b == f64::INFINITY && a < b, x, (r as f32).copysign(x))
}

/// As [`fmod`], in f64.
#[inline(always)]
pub fn fmod_f64<M: MulAdd>(x: f64, y: f64) -> f64 {
    if !M::FUSED {
        return x % y;
    }
    let (a, b) = (x.abs(), y.abs());
    // False for NaN too.
    if !(a < f64::INFINITY && b > 0.0) {
        return f64::NAN;
    }
    let mut r = a;
    while r.abs() >= b {
        // Where the quotient is beyond the range, that by a multiple of y first.
        let mut multiple = b;
        while (r / multiple).abs() == f64::INFINITY {
            multiple *= FAR;
        }
        r = M::mul_add_f64(-(r / multiple).round_nearest(), multiple, r);
    }
    let r = if r < 0.0 { r + b } else { r };
    r.copysign(x)
}

/// 2⁶⁰⁰
const FAR: f64 = f64::from_bits((1023 + 600) << 52);
