//! Rounding: the derivative is 0 where it exists.

use super::unary;
use crate::Real;

/// 10ⁿ for a whole n from 0 to 63, exact as far as the type has it.
#[inline(always)]
fn power_of_ten<R: Real>(n: R) -> R {
    let (mut power, mut rest) = (R::constant(1.0), n);
    for (bit, factor) in [(32.0, 1e32), (16.0, 1e16), (8.0, 1e8), (4.0, 1e4), (2.0, 1e2), (1.0, 1e1)] {
        let taken = |then, otherwise| rest.if_less(R::constant(bit), otherwise, then);
        (power, rest) = (taken(power * R::constant(factor), power), taken(rest - R::constant(bit), rest));
    }
    power
}

/// From here on every f64 is an integer.
const ALL_INTEGERS: f64 = 4_503_599_627_370_496.0;

unary!(Floor, "⌊x⌋", (-3.0, 3.0), f: |x, _| x.floor(), df: |_, _, _| R::constant(0.0));
unary!(Ceil, "⌈x⌉", (-3.0, 3.0), f: |x, _| x.ceil(), df: |_, _, _| R::constant(0.0));
unary!(/// Halves go to the even neighbor, as in NumPy and PyTorch.
    Round, "the integer nearest to x", (-3.0, 3.0), f: |x, _| x.round_even(), df: |_, _, _| R::constant(0.0));
unary!(/// Zero keeps the sign of x.
    Trunc, "x without its fraction", (-3.0, 3.0), f: |x, _| x.abs().floor().copysign(x), df: |_, _, _| R::constant(0.0));
unary!(/// `decimals` is an integer; negative ones round to tens, hundreds and so on. Computed in the type of x, as in NumPy and
    /// PyTorch: a decimal fraction between two numbers of the type may be on either side of a half.
    RoundTo, "x·10ᵈ rounded to an integer (halves to the even one), divided by 10ᵈ", (-3.0, 3.0), f: |x, [decimals, _]| {
    let (zero, scale) = (R::constant(0.0), power_of_ten(decimals.abs()));
    let left = decimals.if_less(zero, R::constant(1.0), zero);
    let scaled = zero.if_less(left, x / scale, x * scale);
    let whole = scaled.round_even();
    let rounded = zero.if_less(left, whole * scale, whole / scale);
    // Zero times a scale beyond the range would be NaN; an integer stays as it is.
    let rounded = zero.if_less(whole.abs(), rounded, whole);
    scaled.abs().if_less(R::constant(ALL_INTEGERS), rounded, zero.if_less(left, rounded, x))
}, df: |_, _, _| R::constant(0.0));
