//! Recurrent cells, one unit of one sequence at one step; the kernels run them over all.
//!
//! A gate's argument is the sum of the input's and the recurrent product with their biases. The order of gates is PyTorch's:
//! input, forget, cell, output of an LSTM; reset, update, new of a GRU.

use crate::Real;

/// Which cell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecurrentCell {
    /// h′ = tanh a (Elman 1990).
    Tanh,
    /// h′ = max(a, 0).
    Relu,
    /// Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997, Gers et al. 2000): [`lstm`].
    Lstm,
    /// Gated recurrent unit (Cho et al. 2014): [`gru`].
    Gru {
        /// Whether the reset gate is applied after the recurrent product, n = tanh(x + r⊙(W·h + b)), as in PyTorch, cuDNN and
        /// Keras's default; else before it, n = tanh(x + W·(r⊙h) + b), as in the paper.
        reset_after: bool,
    },
}

impl RecurrentCell {
    /// Gates: a step's projection has this many numbers for each unit.
    pub const fn gates(self) -> usize {
        match self {
            RecurrentCell::Tanh | RecurrentCell::Relu => 1,
            RecurrentCell::Lstm => 4,
            RecurrentCell::Gru { .. } => 3,
        }
    }

    /// Whether a step leaves a second number of each unit beside its state: an LSTM's cell state c; of a GRU what its third
    /// weight's product is combined with: W·h + b where the reset gate comes after, r⊙h where it comes before.
    pub const fn has_inner(self) -> bool {
        matches!(self, RecurrentCell::Lstm | RecurrentCell::Gru { .. })
    }

    /// Whether [`has_inner`](Self::has_inner)'s number is a state that is handed from step to step.
    pub const fn has_cell_state(self) -> bool {
        matches!(self, RecurrentCell::Lstm)
    }
}

/// s·(1 − s)·dy: the gradient of a sigmoid's argument, from its value.
#[inline(always)]
fn through_sigmoid<R: Real>(s: R, dy: R) -> R {
    s * (R::constant(1.0) - s) * dy
}

/// (1 − t²)·dy: the gradient of a tanh's argument, from its value.
#[inline(always)]
fn through_tanh<R: Real>(t: R, dy: R) -> R {
    (-t).mul_add(t, R::constant(1.0)) * dy
}

/// An activation of the plain cell: tanh or ReLU.
#[inline(always)]
pub fn simple<R: Real>(relu: bool, a: R) -> R {
    if relu { a.maximum(R::constant(0.0)) } else { a.tanh() }
}

/// The gradient of [`simple`]'s argument, from its value.
#[inline(always)]
pub fn simple_grad<R: Real>(relu: bool, h: R, dh: R) -> R {
    let zero = R::constant(0.0);
    if relu { zero.if_less(h, dh, zero) } else { through_tanh(h, dh) }
}

/// A step of an LSTM: of the arguments of its gates i, f, g, o and its cell state, the gates, c′ = f·c + i·g, and
/// h′ = o·tanh c′.
#[inline(always)]
pub fn lstm<R: Real>([i, f, g, o]: [R; 4], c: R) -> ([R; 4], R, R) {
    let (i, f, g, o) = (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid());
    let c = f.mul_add(c, i * g);
    ([i, f, g, o], c, o * c.tanh())
}

/// The gradients of [`lstm`]: of the gates' arguments and of the cell state before, from the gates, the cell states before
/// and after, and the gradients of h′ and c′.
#[inline(always)]
pub fn lstm_grad<R: Real>([i, f, g, o]: [R; 4], before: R, after: R, dh: R, dc: R) -> ([R; 4], R) {
    let t = after.tanh();
    let dc = through_tanh(t, dh * o) + dc;
    let gates = [
        through_sigmoid(i, dc * g),
        through_sigmoid(f, dc * before),
        through_tanh(g, dc * i),
        through_sigmoid(o, dh * t),
    ];
    (gates, dc * f)
}

/// The new state of a GRU, h′ = (1 − z)·n + z·h.
#[inline(always)]
pub fn gru_mix<R: Real>(z: R, n: R, h: R) -> R {
    z.mul_add(h - n, n)
}

/// A step of a GRU whose reset gate comes after: of the arguments of r and z, the input's part of n's, and W·h + b of n, the
/// gates r, z, n and h′.
#[inline(always)]
pub fn gru<R: Real>([r, z, n]: [R; 3], inner: R, h: R) -> ([R; 3], R) {
    let (r, z) = (r.sigmoid(), z.sigmoid());
    let n = r.mul_add(inner, n).tanh();
    ([r, z, n], gru_mix(z, n, h))
}

/// Gradients of [`gru_mix`] and of what made z and n: of the arguments of z and n, and of h where it is mixed in.
#[inline(always)]
pub fn gru_mix_grad<R: Real>(z: R, n: R, h: R, dh: R) -> (R, R, R) {
    let direct = dh * z;
    (through_sigmoid(z, dh * (h - n)), through_tanh(n, dh - direct), direct)
}

/// The gradient of a reset gate's argument, from its value, and the gradient of what the gate was multiplied by: of r·x
/// with this gradient.
#[inline(always)]
pub fn gru_reset_grad<R: Real>(r: R, x: R, dy: R) -> (R, R) {
    (through_sigmoid(r, dy * x), dy * r)
}
