//! ln |Γ(x)| and its derivative ψ(x): for positive x at most 3 (ln Γ) and 6 (ψ) units of the last place off in f64, or 4·10⁻¹⁵
//! beside a zero; f32 is computed in f64.

use super::{MulAdd, cos_f64, ln_f64, polynomial_f64, select, sin_f64};
use crate::machine::Machine;
use core::f64::consts::PI;

const LN_PI: f64 = 1.144_729_885_849_400_2;
/// ln(2π)/2 − ½
const STIRLING: f64 = 0.418_938_533_204_672_7;

/// ln Γ(r)/((r − 1)(r − 2)) for 1 ≤ r ≤ 2.
#[inline(always)]
fn between_one_and_two<M: MulAdd>(r: f64) -> f64 {
    polynomial_f64::<M, 21>(
        r - 1.5,
        [
            1.182_096_944_546_714_5e-5,
            -1.852_780_399_703_296_2e-5,
            1.358_427_545_913_094_3e-5,
            -2.148_770_252_062_576e-5,
            4.281_642_862_794_779e-5,
            -6.793_733_027_397_047e-5,
            1.054_171_522_218_590_4e-4,
            -1.685_717_945_035_172e-4,
            2.713_027_354_511_400_5e-4,
            -4.380_351_613_258_053_4e-4,
            7.115_202_752_051_298e-4,
            -1.164_411_377_219_605e-3,
            1.922_916_232_122_792_3e-3,
            -3.212_074_220_607_290_8e-3,
            5.446_457_842_219_553e-3,
            -9.425_622_444_829_649e-3,
            1.679_709_863_121_395e-2,
            -3.130_848_750_105_327e-2,
            6.291_140_107_456_485e-2,
            -0.145_959_895_914_305_94,
            0.483_128_950_540_980_9,
        ],
    )
}

/// What Stirling's formula leaves of ln Γ(x), for x ≥ 8.
#[inline(always)]
fn stirling_rest<M: MulAdd>(x: f64) -> f64 {
    let z = 1.0 / x;
    z * polynomial_f64::<M, 8>(
        z * z,
        [
            -2.955_065_359_477_124_2e-2,
            6.410_256_410_256_41e-3,
            -1.917_526_917_526_917_6e-3,
            8.417_508_417_508_417e-4,
            -5.952_380_952_380_953e-4,
            7.936_507_936_507_937e-4,
            -2.777_777_777_777_778e-3,
            8.333_333_333_333_333e-2,
        ],
    )
}

/// ln Γ(x) for x ≥ 0.
#[inline(always)]
fn positive<M: MulAdd>(x: f64) -> f64 {
    let (small, large) = (x < 1.0, x >= 8.0);
    // Γ(x) = Γ(x + 1)/x, or (x − 1)·Γ(x − 1) as often as it takes to come below 2.
    let mut r = select(small, x + 1.0, x);
    let mut factor = 1.0;
    let mut i = 0;
    while i < 6 {
        let far = r >= 2.0;
        r = select(far, r - 1.0, r);
        factor = select(far, factor * r, factor);
        i += 1;
    }
    // x + 1 was rounded: the distance to its zero at 2 is taken from x.
    let from_zeros = select(small, x, r - 1.0) * select(small, x - 1.0, r - 2.0);
    let near = from_zeros * between_one_and_two::<M>(r);
    let log = ln_f64::<M>(select(large, x, select(small, x, factor)));
    let far = M::mul_add_f64(x - 0.5, log - 1.0, STIRLING) + stirling_rest::<M>(x);
    select(large, far, near + select(small, -log, log))
}

/// The distance to the nearest integer, with its sign; exact.
#[inline(always)]
fn from_integer(x: f64) -> f64 {
    x - x.round_nearest()
}

/// ln |Γ(x)|: ∞ of 0 and the negative integers.
#[inline(always)]
pub fn lgamma_f64<M: MulAdd>(x: f64) -> f64 {
    let negative = x < 0.0;
    let y = positive::<M>(select(negative, 1.0 - x, x));
    // Γ(x)·Γ(1 − x) = π/sin(πx)
    let sine = sin_f64::<M>(PI * from_integer(x)).abs();
    let y = select(negative, (LN_PI - ln_f64::<M>(sine)) - y, y);
    select(x.abs() == f64::INFINITY, f64::INFINITY, y)
}

/// ψ(x), the derivative of ln Γ: NaN of negative integers, ∓∞ of ±0.
#[inline(always)]
pub fn digamma_f64<M: MulAdd>(x: f64) -> f64 {
    let negative = x < 0.0;
    let q = select(negative, 1.0 - x, x);
    // ψ(q) = ψ(q + 10) − Σ 1/(q + k), the sum as one fraction.
    let large = q >= 10.0;
    let mut t = select(large, 1.0, q);
    let (mut numerator, mut denominator) = (1.0, t);
    let mut i = 1;
    while i < 10 {
        t += 1.0;
        numerator = M::mul_add_f64(numerator, t, denominator);
        denominator *= t;
        i += 1;
    }
    let a = select(large, q, q + 10.0);
    let z = 1.0 / a;
    let s = z * z;
    let p = polynomial_f64::<M, 8>(
        s,
        [
            -0.443_259_803_921_568_6,
            8.333_333_333_333_333e-2,
            -2.109_279_609_279_609_4e-2,
            7.575_757_575_757_576e-3,
            -4.166_666_666_666_667e-3,
            3.968_253_968_253_968e-3,
            -8.333_333_333_333_333e-3,
            8.333_333_333_333_333e-2,
        ],
    );
    let y = ln_f64::<M>(a) - M::mul_add_f64(s, p, 0.5 * z) - select(large, 0.0, numerator / denominator);
    // ψ(x) = ψ(1 − x) − π/tan(πx)
    let r = from_integer(x);
    let cotangent = PI * (cos_f64::<M>(PI * r) / sin_f64::<M>(PI * r));
    select(negative, select(r == 0.0, f64::NAN, y - cotangent), y)
}

/// ln |Γ(x)|: ∞ of 0 and the negative integers. Computed in f64.
#[inline(always)]
pub fn lgamma<M: MulAdd>(x: f32) -> f32 {
    lgamma_f64::<M>(x.into()) as f32
}

/// ψ(x), the derivative of ln Γ: NaN of negative integers, ∓∞ of ±0. Computed in f64.
#[inline(always)]
pub fn digamma<M: MulAdd>(x: f32) -> f32 {
    digamma_f64::<M>(x.into()) as f32
}
