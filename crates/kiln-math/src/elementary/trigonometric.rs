//! sin and cos.

use super::{MulAdd, ROUNDING, polynomial, select};

/// x = n · π/2 + r, |r| ≤ π/4, by π/2 in three parts.
#[inline(always)]
fn reduce<M: MulAdd>(x: f32) -> (u32, f32) {
    let shifted = M::mul_add(x, std::f32::consts::FRAC_2_PI, ROUNDING);
    let n = shifted - ROUNDING;
    let r = M::mul_add(n, -1.570_312_5, x);
    let r = M::mul_add(n, -4.837_513e-4, r);
    let r = M::mul_add(n, -7.549_79e-8, r);
    (shifted.to_bits(), r)
}

/// The sine where `turn` is even, else the cosine, with the sign of the quadrant.
#[inline(always)]
fn quadrant<M: MulAdd>(turn: u32, r: f32) -> f32 {
    let z = r * r;
    let sine = M::mul_add(polynomial::<M, 3>(z, [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]) * z, r, r);
    let cosine = M::mul_add(
        polynomial::<M, 3>(z, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]) * z,
        z,
        M::mul_add(z, -0.5, 1.0),
    );
    let y = select(turn & 1 == 0, sine, cosine);
    select(turn & 2 == 0, y, -y)
}

/// sin x
#[inline(always)]
pub fn sin<M: MulAdd>(x: f32) -> f32 {
    let (n, r) = reduce::<M>(x);
    quadrant::<M>(n, r)
}

/// cos x
#[inline(always)]
pub fn cos<M: MulAdd>(x: f32) -> f32 {
    let (n, r) = reduce::<M>(x);
    quadrant::<M>(n.wrapping_add(1), r)
}
