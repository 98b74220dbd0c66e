//! Long short-term memory.

use super::{After, Before, Cell, Inner, Slopes, through_sigmoid, through_tanh};
use crate::Real;

/// Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997, Gers et al. 2000). Gates i, f, g, o, as in PyTorch:
///
/// i, f, o = σ of their arguments, g = tanh of its own; c′ = f·c + i·g; h′ = o·tanh c′.
#[derive(Clone, Copy, Debug)]
pub struct Lstm;

impl Cell<4, 0> for Lstm {
    const INNER: Inner = Inner::State;

    #[inline(always)]
    fn step<R: Real>([i, f, g, o]: [R; 4], before: &Before<R, 0>) -> After<R, 4> {
        let (i, f, g, o) = (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid());
        let c = f.mul_add(before.inner, i * g);
        After { gates: [i, f, g, o], inner: c, h: o * c.tanh() }
    }

    #[inline(always)]
    fn grad<R: Real>(after: &After<R, 4>, before: &Before<R, 0>, dh: R, dc: R) -> Slopes<R, 4, 0> {
        let [i, f, g, o] = after.gates;
        let t = after.inner.tanh();
        let dc = through_tanh(t, dh * o) + dc;
        let gates = [
            through_sigmoid(i, dc * g),
            through_sigmoid(f, dc * before.inner),
            through_tanh(g, dc * i),
            through_sigmoid(o, dh * t),
        ];
        Slopes { gates, inner: dc * f, h: R::constant(0.0), weights: [] }
    }
}

/// The LSTM with peephole connections (Gers and Schmidhuber 2000): gates see the cell state, each unit its own. With the unit's
/// weights p, q, s of i, f, o:
///
/// i = σ(a_i + p·c), f = σ(a_f + q·c), g = tanh a_g; c′ = f·c + i·g; o = σ(a_o + s·c′); h′ = o·tanh c′.
#[derive(Clone, Copy, Debug)]
pub struct PeepholeLstm;

impl Cell<4, 3> for PeepholeLstm {
    const INNER: Inner = Inner::State;

    #[inline(always)]
    fn step<R: Real>([i, f, g, o]: [R; 4], before: &Before<R, 3>) -> After<R, 4> {
        let ([p, q, s], c) = (before.weights, before.inner);
        let (i, f, g) = (p.mul_add(c, i).sigmoid(), q.mul_add(c, f).sigmoid(), g.tanh());
        let c = f.mul_add(c, i * g);
        let o = s.mul_add(c, o).sigmoid();
        After { gates: [i, f, g, o], inner: c, h: o * c.tanh() }
    }

    #[inline(always)]
    fn grad<R: Real>(after: &After<R, 4>, before: &Before<R, 3>, dh: R, dc: R) -> Slopes<R, 4, 3> {
        let ([p, q, s], [i, f, g, o]) = (before.weights, after.gates);
        let t = after.inner.tanh();
        let dout = through_sigmoid(o, dh * t);
        let dc = s.mul_add(dout, through_tanh(t, dh * o) + dc);
        let (din, dforget) = (through_sigmoid(i, dc * g), through_sigmoid(f, dc * before.inner));
        Slopes {
            gates: [din, dforget, through_tanh(g, dc * i), dout],
            inner: q.mul_add(dforget, p.mul_add(din, dc * f)),
            h: R::constant(0.0),
            weights: [din * before.inner, dforget * before.inner, dout * after.inner],
        }
    }
}
