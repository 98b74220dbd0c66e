//! asin x, at most 2.3 units of the last place off, and acos x, at most 1.6, in f32 and f64.

use super::atan::{HALF_PI_LOW, HALF_PI_LOW_F64};
use super::{MulAdd, polynomial, polynomial_f64, select};
use crate::machine::Machine;
use core::{f32, f64};

/// asin t for 0 ≤ t ≤ ½, of t and its square.
#[inline(always)]
fn within_half<M: MulAdd>(t: f32, s: f32) -> f32 {
    let p = polynomial::<M, 5>(s, [3.808_502_5e-2, 2.655_454_2e-2, 4.500_138e-2, 7.498_855e-2, 0.166_666_73]);
    M::mul_add(p * s, t, t)
}

/// As [`within_half`], in f64.
#[inline(always)]
fn within_half_f64<M: MulAdd>(t: f64, s: f64) -> f64 {
    let p = polynomial_f64::<M, 12>(
        s,
        [
            2.816_921_806_088_141_4e-2,
            -1.074_905_033_969_780_8e-2,
            1.603_551_434_914_882e-2,
            7.802_949_477_353_317_5e-3,
            1.187_549_438_263_692_2e-2,
            1.392_965_290_232_663_3e-2,
            1.735_525_995_578_632_3e-2,
            2.237_204_763_174_451e-2,
            3.038_194_736_709_848e-2,
            4.464_285_710_342_364_6e-2,
            7.500_000_000_020_764e-2,
            0.166_666_666_666_666_5,
        ],
    );
    M::mul_add_f64(p * s, t, t)
}

/// `$asin` and `$acos` of a type, from asin on 0 to ½.
macro_rules! inverses {
    ($float:ident, $asin:ident, $acos:ident, $core:ident, $reduced:ident, $half_pi_low:expr) => {
        /// asin |x| where |x| ≤ ½, else asin √((1 − |x|)/2), which is half of acos |x|; NaN beyond 1.
        #[inline(always)]
        fn $reduced<M: MulAdd>(a: $float) -> $float {
            let s = select(a > 0.5, 0.5 * (1.0 - a), a * a);
            $core::<M>(select(a > 0.5, s.square_root(), a), s)
        }

        /// asin x; NaN beyond ±1.
        #[inline(always)]
        pub fn $asin<M: MulAdd>(x: $float) -> $float {
            let a = x.abs();
            let y = $reduced::<M>(a);
            select(a > 0.5, $float::consts::FRAC_PI_2 - (2.0 * y - $half_pi_low), y).copysign(x)
        }

        /// acos x; NaN beyond ±1.
        #[inline(always)]
        pub fn $acos<M: MulAdd>(x: $float) -> $float {
            let a = x.abs();
            let y = $reduced::<M>(a);
            let near_end = select(x < 0.0, $float::consts::PI - (2.0 * y - 2.0 * $half_pi_low), 2.0 * y);
            select(a > 0.5, near_end, $float::consts::FRAC_PI_2 - (y.copysign(x) - $half_pi_low))
        }
    };
}
inverses!(f32, asin, acos, within_half, reduced, HALF_PI_LOW);
inverses!(f64, asin_f64, acos_f64, within_half_f64, reduced_f64, HALF_PI_LOW_F64);
