//! sin and cos: at most 1.6 units of the last place off, in f32 for |x| ≤ 10⁵ and in f64 for |x| ≤ 10⁹.

use super::{MulAdd, ROUNDING, ROUNDING_F64, polynomial, polynomial_f64, select};

/// Beyond this multiple of π/2 is no integer that [`ROUNDING`] can find.
const LIMIT: f32 = 6.5e6;
const LIMIT_F64: f64 = 3.5e15;

/// x = n · π/2 + r, |r| ≤ π/4, by π/2 in four parts (Cody and Waite).
///
/// Fused, n times a part is exact whatever its bits; else the first parts are short. All parts are positive (π/2 is cut off,
/// not rounded), so that −0 stays −0.
#[inline(always)]
fn reduce<M: MulAdd>(x: f32) -> (u32, f32) {
    let shifted = M::mul_add(x, core::f32::consts::FRAC_2_PI, ROUNDING);
    let n = shifted - ROUNDING;
    let [a, b, c, d] = if M::FUSED {
        [f32::from_bits(0x3fc9_0fda), 7.549_789_4e-8, 5.390_302_5e-15, 3.282_003_4e-22]
    } else {
        [1.570_312_5, 4.837_513e-4, 7.549_533_6e-8, 2.563_344e-12]
    };
    let r = M::mul_add(n, -a, x);
    let r = M::mul_add(n, -b, r);
    let r = M::mul_add(n, -c, r);
    let r = M::mul_add(n, -d, r);
    // Where there is no such n, still a result between −1 and 1; NaN of ±∞ and NaN.
    let r = select(x.abs() > LIMIT, x * 0.0, r);
    (shifted.to_bits(), r)
}

/// As [`reduce`], in f64.
#[inline(always)]
fn reduce_f64<M: MulAdd>(x: f64) -> (u64, f64) {
    let shifted = M::mul_add_f64(x, core::f64::consts::FRAC_2_PI, ROUNDING_F64);
    let n = shifted - ROUNDING_F64;
    let [a, b, c, d] = if M::FUSED {
        [core::f64::consts::FRAC_PI_2, 6.123_233_995_736_765e-17, 1.082_856_673_921_914e-32, 0.0]
    } else {
        [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_711_166_5e-21, 8.478_427_660_368_9e-32]
    };
    let r = M::mul_add_f64(n, -a, x);
    let r = M::mul_add_f64(n, -b, r);
    let r = M::mul_add_f64(n, -c, r);
    let r = M::mul_add_f64(n, -d, r);
    let r = select(x.abs() > LIMIT_F64, x * 0.0, r);
    (shifted.to_bits(), r)
}

/// The sine where `turn` is even, else the cosine, with the sign of the quadrant.
#[inline(always)]
fn quadrant<M: MulAdd>(turn: u32, r: f32) -> f32 {
    let z = r * r;
    // + 0 makes +0 of −0, whose product with −0 would be +0: sin −0 is −0.
    let s = polynomial::<M, 3>(z, [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]);
    let sine = M::mul_add(M::mul_add(s, z, 0.0), r, r);
    let p = polynomial::<M, 3>(z, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]) * z;
    // What 1 − z/2 loses when it is rounded is added to the small terms.
    let half = 0.5 * z;
    let top = 1.0 - half;
    let cosine = top + M::mul_add(p, z, (1.0 - top) - half);
    let y = select(turn & 1 == 0, sine, cosine);
    select(turn & 2 == 0, y, -y)
}

/// As [`quadrant`], in f64.
#[inline(always)]
fn quadrant_f64<M: MulAdd>(turn: u64, r: f64) -> f64 {
    let z = r * r;
    let s = polynomial_f64::<M, 6>(
        z,
        [
            1.589_690_995_211_55e-10,
            -2.505_076_025_340_686_3e-8,
            2.755_731_370_707_006_8e-6,
            -1.984_126_982_985_795e-4,
            8.333_333_333_322_49e-3,
            -1.666_666_666_666_663_2e-1,
        ],
    );
    let sine = M::mul_add_f64(M::mul_add_f64(s, z, 0.0), r, r);
    let c = polynomial_f64::<M, 6>(
        z,
        [
            -1.135_964_755_778_819_5e-11,
            2.087_572_321_298_175e-9,
            -2.755_731_435_139_066_3e-7,
            2.480_158_728_947_673e-5,
            -1.388_888_888_887_411e-3,
            4.166_666_666_666_66e-2,
        ],
    );
    let half = 0.5 * z;
    let top = 1.0 - half;
    let cosine = top + M::mul_add_f64(c * z, z, (1.0 - top) - half);
    let y = select(turn & 1 == 0, sine, cosine);
    select(turn & 2 == 0, y, -y)
}

/// sin x, accurate up to 10⁵, to 10⁻⁶ in absolute terms up to 6.5·10⁶; beyond that it only stays between −1 and 1.
#[inline(always)]
pub fn sin<M: MulAdd>(x: f32) -> f32 {
    let (n, r) = reduce::<M>(x);
    quadrant::<M>(n, r)
}

/// cos x, in the range of [`sin`].
#[inline(always)]
pub fn cos<M: MulAdd>(x: f32) -> f32 {
    let (n, r) = reduce::<M>(x);
    quadrant::<M>(n.wrapping_add(1), r)
}

/// sin x, accurate up to 10⁹; beyond 3.5·10¹⁵ it only stays between −1 and 1.
#[inline(always)]
pub fn sin_f64<M: MulAdd>(x: f64) -> f64 {
    let (n, r) = reduce_f64::<M>(x);
    quadrant_f64::<M>(n, r)
}

/// cos x, in the range of [`sin_f64`].
#[inline(always)]
pub fn cos_f64<M: MulAdd>(x: f64) -> f64 {
    let (n, r) = reduce_f64::<M>(x);
    quadrant_f64::<M>(n.wrapping_add(1), r)
}
