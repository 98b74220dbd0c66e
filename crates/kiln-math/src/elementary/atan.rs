//! atan x and the angle of a point: at most 1.6 (f32) or 1.5 (f64) units of the last place off.

use super::{MulAdd, polynomial, polynomial_f64, select};
use core::{f32, f64};

/// What π/2 lost when it was rounded; twice that is what π lost.
pub(super) const HALF_PI_LOW: f32 = -4.371_139e-8;
pub(super) const HALF_PI_LOW_F64: f64 = 6.123_233_995_736_766e-17;

/// atan t for 0 ≤ t ≤ 1.
#[inline(always)]
fn within_one<M: MulAdd>(t: f32) -> f32 {
    let s = t * t;
    let p = polynomial::<M, 9>(
        s,
        [
            -2.386_997_2e-3,
            1.350_777_1e-2,
            -3.587_154e-2,
            6.250_169e-2,
            -8.656_88e-2,
            0.110_337_645,
            -0.142_785_68,
            0.199_997_4,
            -0.333_333_3,
        ],
    );
    M::mul_add(p * s, t, t)
}

/// As [`within_one`], in f64.
#[inline(always)]
fn within_one_f64<M: MulAdd>(t: f64) -> f64 {
    let s = t * t;
    let p = polynomial_f64::<M, 20>(
        s,
        [
            1.806_195_461_861_215e-5,
            -1.999_618_937_790_138_2e-4,
            1.049_603_508_496_851_5e-3,
            -3.495_885_973_916_309_4e-3,
            8.368_931_178_450_162e-3,
            -1.553_515_247_541_417_7e-2,
            2.369_673_158_004_862_2e-2,
            -3.127_718_906_699_638_5e-2,
            3.749_486_812_535_247e-2,
            -4.260_356_632_601_652e-2,
            4.737_749_579_527_779e-2,
            -5.257_973_334_284_110_6e-2,
            5.881_506_877_793_656e-2,
            -6.666_564_699_289_104e-2,
            7.692_298_971_033_217e-2,
            -9.090_908_590_891_934e-2,
            0.111_111_110_934_908_27,
            -0.142_857_142_853_841_32,
            0.199_999_999_999_975_3,
            -0.333_333_333_333_333_3,
        ],
    );
    M::mul_add_f64(p * s, t, t)
}

/// `$atan` and `$atan2` of a type, from atan on 0 to 1.
macro_rules! angles {
    ($float:ident, $atan:ident, $atan2:ident, $within_one:ident, $half_pi_low:expr) => {
        /// atan x
        #[inline(always)]
        pub fn $atan<M: MulAdd>(x: $float) -> $float {
            let a = x.abs();
            let y = $within_one::<M>(select(a > 1.0, 1.0 / a, a));
            select(a > 1.0, $float::consts::FRAC_PI_2 - (y - $half_pi_low), y).copysign(x)
        }

        /// The angle from −π to π of the point (x, y); y's sign is the angle's, that of zero too.
        #[inline(always)]
        pub fn $atan2<M: MulAdd>(y: $float, x: $float) -> $float {
            let (a, b) = (x.abs(), y.abs());
            let steep = b > a;
            let (low, high) = (select(steep, a, b), select(steep, b, a));
            // Equal sides need no quotient: both may be 0, or infinite.
            let t = select(low == high, select(high == 0.0, 0.0, 1.0), low / high);
            let angle = $within_one::<M>(t);
            let angle = select(steep, $float::consts::FRAC_PI_2 - (angle - $half_pi_low), angle);
            let left = $float::consts::PI - (angle - 2.0 * $half_pi_low);
            select(x.is_sign_negative(), left, angle).copysign(y)
        }
    };
}
angles!(f32, atan, atan2, within_one, HALF_PI_LOW);
angles!(f64, atan_f64, atan2_f64, within_one_f64, HALF_PI_LOW_F64);
