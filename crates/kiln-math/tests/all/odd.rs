//! Numbers that pass through f32 on their way to a half type are rounded once.

use kiln_math::{round_integer_to_odd, round_to_odd};
use proptest::prelude::*;

/// A binary format: bits of precision, exponent of the least normal number, exponent beyond the largest.
type Format = (i32, i32, i32);
const FORMATS: [Format; 2] = [(11, -14, 16), (8, -126, 128)];

/// The number of the format nearest to x, the even one of two. Every step but the rounding is exact: it scales by a power of two.
fn nearest(x: f64, (precision, least, beyond): Format) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    // Of numbers below 2⁻¹⁰²² too: their exponent reads as −1023, and they become 0 all the same.
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(least);
    let last_place = 2f64.powi(exponent - precision + 1);
    let rounded = (x / last_place).round_ties_even() * last_place;
    if rounded.abs() < 2f64.powi(beyond) { rounded } else { f64::INFINITY.copysign(x) }
}

/// As [`nearest`], in integers alone.
fn nearest_of_integer(x: i64, (precision, _, beyond): Format) -> f64 {
    let size = u128::from(x.unsigned_abs());
    let dropped = (128 - size.leading_zeros() as i32 - precision).max(0);
    let (low, tie) = (size >> dropped, (1u128 << dropped) >> 1);
    let rest = size - (low << dropped);
    let up = dropped > 0 && (rest > tie || rest == tie && low % 2 == 1);
    let rounded = (low + u128::from(up)) << dropped;
    let value = if rounded >> beyond.min(127) == 0 { rounded as f64 } else { f64::INFINITY };
    if x < 0 { -value } else { value }
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

fn check(x: f64) -> Result<(), TestCaseError> {
    let single = round_to_odd(x);
    // The definition: x itself, or the neighbor whose last bit is 1.
    if f64::from(single) != x && x.is_finite() {
        prop_assert_eq!(single.to_bits() & 1, 1, "{:e}", x);
        let (below, above) = (f64::from(single.next_down()), f64::from(single.next_up()));
        prop_assert!(below < x && x < above, "{x:e} became {single:e}");
    }
    prop_assert_eq!(x.is_nan(), single.is_nan());
    prop_assert!(x.is_nan() || x.is_sign_negative() == single.is_sign_negative(), "{x:e} became {single:e}");
    for format in FORMATS {
        let (once, twice) = (nearest(x, format), nearest(f64::from(single), format));
        prop_assert!(same(once, twice), "{x:e} becomes {twice:e} rather than {once:e} of {format:?}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_number_is_rounded_once(bits in any::<u64>()) {
        check(f64::from_bits(bits))?;
    }

    /// Numbers about halfway between two of a format, from the smallest subnormal ones to those that overflow.
    #[test]
    fn ties_and_what_is_next_to_them(
        format in prop::sample::select(&FORMATS[..]), place in any::<u32>(), low in any::<u64>(), beside in -2i64..=2, negative: bool
    ) {
        let (precision, least, beyond) = format;
        let exponent = least - precision + (place >> 16) as i32 % (beyond - least + precision + 2);
        // An odd multiple of half a last place, of which a few bits more or less are beyond f32.
        let odd = f64::from(2 * (place & ((1 << precision) - 1)) + 1) * 2f64.powi(exponent);
        let near = [odd.to_bits().wrapping_add_signed(beside), odd.to_bits() | low >> 36, (odd.to_bits() - 1) ^ low >> 36];
        for bits in near {
            let x = f64::from_bits(bits);
            check(if negative { -x } else { x })?;
        }
    }

    #[test]
    fn integers_are_rounded_once(x in any::<i64>(), shift in 0u32..64, beside in -2i64..=2, tie: bool) {
        let x = if tie { (x >> shift | 1).wrapping_shl(shift).wrapping_add(beside) } else { x >> shift };
        for format in FORMATS {
            let (once, twice) = (nearest_of_integer(x, format), nearest(f64::from(round_integer_to_odd(x)), format));
            prop_assert!(same(once, twice), "{x} becomes {twice:e} rather than {once:e} of {format:?}");
        }
    }
}

#[test]
fn known_numbers() {
    // A tie in f32's eyes that is none.
    let x = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    assert_eq!(nearest(f64::from(x as f32), FORMATS[0]), 1.0);
    assert_eq!(nearest(f64::from(round_to_odd(x)), FORMATS[0]), 1.0 + 2f64.powi(-10));
    assert_eq!(nearest(2.541_992_188, FORMATS[0]), 2.542_968_75);
    assert_eq!(round_to_odd(1e300), f32::MAX);
    assert_eq!(round_to_odd(-1e-300), -f32::from_bits(1));
    assert_eq!(round_to_odd(f64::INFINITY), f32::INFINITY);
    assert_eq!(round_to_odd(-0.0).to_bits(), (-0f32).to_bits());
    assert!(round_to_odd(f64::NAN).is_nan());
    for x in [i64::MIN, i64::MAX, i64::MAX - 0x7ff, 0, -1, 1 << 53, (1 << 53) + 1, 65519, 65520] {
        for format in FORMATS {
            assert_eq!(nearest(f64::from(round_integer_to_odd(x)), format), nearest_of_integer(x, format), "{x}");
        }
    }
}
