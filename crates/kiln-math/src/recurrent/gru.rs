//! Gated recurrent units. Gates r, z, n, as in PyTorch.

use super::{After, Before, Cell, Inner, Slopes, through_sigmoid, through_tanh};
use crate::Real;

/// h′ = (1 − z)·n + z·h.
#[inline(always)]
fn mix<R: Real>(z: R, n: R, h: R) -> R {
    z.mul_add(h - n, n)
}

/// Gated recurrent unit (Cho et al. 2014) whose reset gate comes after the recurrent product, as in PyTorch, cuDNN and Keras's
/// default. The unit's own weight is the bias b of that product:
///
/// r, z = σ of their arguments, n = tanh(x + r·(W·h + b)); h′ = (1 − z)·n + z·h.
#[derive(Clone, Copy, Debug)]
pub struct Gru;

impl Cell<3, 1> for Gru {
    const INNER: Inner = Inner::Product;

    #[inline(always)]
    fn step<R: Real>([r, z, n]: [R; 3], before: &Before<R, 1>) -> After<R, 3> {
        let product = before.inner + before.weights[0];
        let (r, z) = (r.sigmoid(), z.sigmoid());
        let n = r.mul_add(product, n).tanh();
        After { gates: [r, z, n], inner: product, h: mix(z, n, before.h) }
    }

    #[inline(always)]
    fn grad<R: Real>(after: &After<R, 3>, before: &Before<R, 1>, dh: R, _: R) -> Slopes<R, 3, 1> {
        let [r, z, n] = after.gates;
        let direct = dh * z;
        let dn = through_tanh(n, dh - direct);
        let product = dn * r;
        let gates = [through_sigmoid(r, dn * after.inner), through_sigmoid(z, dh * (before.h - n)), dn];
        Slopes { gates, inner: product, h: direct, weights: [product] }
    }
}

/// Gated recurrent unit whose reset gate comes before the recurrent product, as in the paper and in Keras's `reset_after=False`:
///
/// r, z = σ of their arguments, n = tanh(x + W·(r·h)); h′ = (1 − z)·n + z·h.
#[derive(Clone, Copy, Debug)]
pub struct GruResetBefore;

impl Cell<3, 0> for GruResetBefore {
    const INNER: Inner = Inner::Factor;

    #[inline(always)]
    fn factor<R: Real>([r, z, n]: [R; 3], h: R) -> ([R; 3], R) {
        let r = r.sigmoid();
        ([r, z.sigmoid(), n], r * h)
    }

    #[inline(always)]
    fn factor_grad<R: Real>([r, z, _]: [R; 3], h: R, [_, dz, dn]: [R; 3], factor: R) -> ([R; 3], R) {
        ([through_sigmoid(r, factor * h), through_sigmoid(z, dz), dn], factor * r)
    }

    #[inline(always)]
    fn step<R: Real>([r, z, n]: [R; 3], before: &Before<R, 0>) -> After<R, 3> {
        let n = n.tanh();
        After { gates: [r, z, n], inner: before.inner, h: mix(z, n, before.h) }
    }

    #[inline(always)]
    fn grad<R: Real>(after: &After<R, 3>, before: &Before<R, 0>, dh: R, _: R) -> Slopes<R, 3, 0> {
        let zero = R::constant(0.0);
        let [_, z, n] = after.gates;
        let direct = dh * z;
        Slopes { gates: [zero, dh * (before.h - n), through_tanh(n, dh - direct)], inner: zero, h: direct, weights: [] }
    }
}
