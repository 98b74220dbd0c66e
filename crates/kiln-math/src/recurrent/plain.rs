//! Cells of one gate, which is the state (Elman 1990).

use super::{After, Before, Cell, Slopes, through_tanh};
use crate::Real;

/// h′ = tanh a.
#[derive(Clone, Copy, Debug)]
pub struct Tanh;

impl Cell<1, 0> for Tanh {
    #[inline(always)]
    fn step<R: Real>([a]: [R; 1], before: &Before<R, 0>) -> After<R, 1> {
        let h = a.tanh();
        After { gates: [h], inner: before.inner, h }
    }

    #[inline(always)]
    fn grad<R: Real>(after: &After<R, 1>, _: &Before<R, 0>, dh: R, dinner: R) -> Slopes<R, 1, 0> {
        Slopes { gates: [through_tanh(after.gates[0], dh)], inner: dinner, h: R::constant(0.0), weights: [] }
    }
}

/// h′ = max(a, 0), NaN where a is.
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl Cell<1, 0> for Relu {
    #[inline(always)]
    fn step<R: Real>([a]: [R; 1], before: &Before<R, 0>) -> After<R, 1> {
        // Not `maximum`, whose slope at 0 is a half: here it is 0, as in PyTorch.
        let zero = R::constant(0.0);
        let h = zero.if_less(a, a, a.if_less(R::constant(1.0), zero, a));
        After { gates: [h], inner: before.inner, h }
    }

    #[inline(always)]
    fn grad<R: Real>(after: &After<R, 1>, _: &Before<R, 0>, dh: R, dinner: R) -> Slopes<R, 1, 0> {
        let zero = R::constant(0.0);
        Slopes { gates: [zero.if_less(after.gates[0], dh, zero)], inner: dinner, h: zero, weights: [] }
    }
}
