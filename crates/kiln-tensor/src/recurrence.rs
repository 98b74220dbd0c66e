//! What the recurrent primitives of a [`Backend`](crate::Backend) are given.

use crate::{Out, View};
use kiln_math::RecurrentCell;

/// One direction of one recurrent layer: T steps of N sequences, H units. All views are row-major, of one float type.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// The cell, of G gates.
    pub cell: RecurrentCell,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// (G·H, H): what the state before is multiplied by.
    pub weight: View<'a>,
    /// (H,): of a GRU whose reset gate comes after, what is added to the third product before the gate.
    pub bias: Option<View<'a>>,
    /// bool (T, N): where false, the step leaves the sequence's state as it was.
    pub mask: Option<View<'a>>,
    /// (N, H): what states are multiplied by on their way into the recurrent product, at every step the same (dropout).
    pub keep: Option<View<'a>>,
    /// (N, H): the state before the first step.
    pub h0: View<'a>,
    /// (N, H): an LSTM's cell state before the first step.
    pub c0: Option<View<'a>>,
}

/// What [`Backend::recurrent`](crate::Backend::recurrent) writes.
#[derive(Clone, Copy, Debug)]
pub struct RecurrenceOut<'a> {
    /// (T, N, G·H): holds the input's part of each gate's argument, biases included; becomes the gates.
    pub gates: Out<'a>,
    /// (T, N, H): becomes the state after each step.
    pub states: Out<'a>,
    /// (T, N, H), of cells that have it: an LSTM's cell states; of a GRU W·h + b where the reset gate comes after, the r⊙h
    /// that is multiplied where it comes before.
    pub inner: Option<Out<'a>>,
}

/// What the forward pass wrote, and the gradients of what it gave.
#[derive(Clone, Copy, Debug)]
pub struct RecurrenceGrad<'a> {
    /// (T, N, G·H): the gates.
    pub gates: View<'a>,
    /// (T, N, H): the states.
    pub states: View<'a>,
    /// (T, N, H): [`RecurrenceOut::inner`].
    pub inner: Option<View<'a>>,
    /// (T, N, H): the gradient of the states.
    pub states_grad: Option<View<'a>>,
    /// (N, H): the gradient of the last state, beside that.
    pub last_grad: Option<View<'a>>,
    /// (N, H): the gradient of an LSTM's last cell state.
    pub cell_grad: Option<View<'a>>,
}

/// What [`Backend::recurrent_grad`](crate::Backend::recurrent_grad) writes.
#[derive(Clone, Copy, Debug)]
pub struct RecurrenceGradOut<'a> {
    /// (T, N, G·H): of the gates' arguments.
    pub gates: Out<'a>,
    /// (T, N, H): of W·h + b of a GRU whose reset gate comes after.
    pub inner: Option<Out<'a>>,
    /// (N, H): of the state before the first step.
    pub h0: Out<'a>,
    /// (N, H): of an LSTM's cell state before the first step.
    pub c0: Option<Out<'a>>,
}
