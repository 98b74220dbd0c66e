//! Divisions whose quotient is an integer.

use super::binary::{ANY, binary};
use crate::Real;

/// ⌊a/b⌋ of the exact quotient, with the sign of a/b where it is 0 (as in NumPy); a/b where b is 0.
#[inline(always)]
fn floor_quotient<R: Real>(a: R, b: R) -> R {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    let rest = a.fmod(b);
    let whole = (a - rest) / b;
    let apart = one.copysign(rest) * one.copysign(b);
    let below = zero.if_less(rest.abs(), apart.if_less(zero, whole - one, whole), whole);
    let quotient = below.round_even();
    let signed = zero.if_less(quotient.abs(), quotient, quotient.abs().copysign(a / b));
    // Otherwise b is 0, or NaN.
    zero.if_less(b.abs(), signed, a / b)
}

binary!(/// As C's: exact, with the sign of a. NaN where a is infinite or b is 0.
    Fmod, "a - b·trunc(a/b)", ANY, (0.3, 3.0), f: |a, b| a.fmod(b), df: |a, b, y| {
    (R::constant(1.0), ((y - a) / b).round_even())
});
binary!(/// As Python's and NumPy's: with the sign of b. NaN where a is infinite or b is 0.
    Remainder, "a - b·⌊a/b⌋", ANY, (0.3, 3.0), f: |a, b| {
    let (zero, one) = (R::constant(0.0), R::constant(1.0));
    let rest = a.fmod(b);
    let apart = one.copysign(rest) * one.copysign(b);
    // Otherwise the rest is 0, or NaN.
    zero.if_less(rest.abs(), apart.if_less(zero, rest + b, rest), rest.abs().copysign(b))
}, df: |a, b, y| (R::constant(1.0), ((y - a) / b).round_even()));
binary!(/// The floor of the exact quotient, not of the rounded one (as in NumPy). a/b where b is 0. The derivatives are 0.
    FloorDiv, "⌊a/b⌋", ANY, (0.3, 3.0), f: |a, b| floor_quotient(a, b), df: |_, _, _| (R::constant(0.0), R::constant(0.0)));
