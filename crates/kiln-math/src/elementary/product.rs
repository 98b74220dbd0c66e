//! Products without a rounding.

use super::MulAdd;

/// a · b as the rounded product and what it lost.
#[inline(always)]
pub(super) fn product<M: MulAdd>(a: f64, b: f64) -> (f64, f64) {
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
