//! The error function.

use super::{MulAdd, exponential::exp, polynomial, select};

/// erf x
#[inline(always)]
pub fn erf<M: MulAdd>(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    let r = M::mul_add(-1.728_534_7e-5, t, 3.831_971_3e-4);
    let u = M::mul_add(-3.883_964_4e-3, t, 2.425_462_2e-2);
    let r = M::mul_add(r, s, u);
    let r = M::mul_add(r, t, -1.067_778_8e-1);
    let r = M::mul_add(r, t, -6.348_467e-1);
    let r = M::mul_add(r, t, -1.287_175_1e-1);
    let r = M::mul_add(r, t, -t);
    let big = select(t > 4.0, 1.0, 1.0 - exp::<M>(r)).copysign(x);
    let p = polynomial::<M, 6>(
        s,
        [-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_2e-1, -3.761_253_4e-1, 1.283_791_7e-1],
    );
    let small = M::mul_add(p, x, x);
    select(t > 0.927_734_4, big, small)
}
