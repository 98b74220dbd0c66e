//! What recurrent layers begin with, and what they leave.

use kiln_autograd::Var;
use kiln_tensor::{Result, Tensor};

/// The states of all layers of a recurrent network, as PyTorch keeps them: (layers · directions, N, units), of each layer
/// forward first.
#[derive(Clone, Debug)]
pub struct RecurrentState {
    /// The states h.
    pub h: Var,
    /// An LSTM's cell states c.
    pub c: Option<Var>,
}

impl RecurrentState {
    /// The same values without their past: what the next stretch of a long sequence begins with in truncated
    /// backpropagation through time.
    #[must_use]
    pub fn detach(&self) -> Self {
        RecurrentState { h: self.h.detach(), c: self.c.as_ref().map(Var::detach) }
    }

    /// h, and c where there is one, without their past.
    pub(super) fn into_tensors(self) -> Vec<Tensor> {
        [Some(self.h), self.c].into_iter().flatten().map(Var::into_tensor).collect()
    }

    /// As [`RecurrentState::into_tensors`] gave them; none of none.
    pub(super) fn from_tensors(tensors: Vec<Tensor>) -> Option<Self> {
        let mut tensors = tensors.into_iter().map(Var::constant);
        Some(RecurrentState { h: tensors.next()?, c: tensors.next() })
    }
}

/// What goes with the input of a recurrent layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceInputs<'a> {
    pub(super) state: Option<&'a RecurrentState>,
    pub(super) lengths: Option<&'a Tensor>,
    pub(super) mask: Option<&'a Tensor>,
}

impl<'a> SequenceInputs<'a> {
    /// States of 0, every step of every sequence.
    pub fn new() -> Self {
        SequenceInputs::default()
    }

    /// The states before the first step.
    #[must_use]
    pub fn state(self, state: &'a RecurrentState) -> Self {
        SequenceInputs { state: Some(state), ..self }
    }

    /// How many steps of each sequence count, i64 (N,), from 1 to the number of steps; in any order.
    ///
    /// As PyTorch's packed sequences: the state after a sequence's end is that at its end, outputs past it are 0, and the
    /// reverse direction begins there.
    #[must_use]
    pub fn lengths(self, lengths: &'a Tensor) -> Self {
        SequenceInputs { lengths: Some(lengths), ..self }
    }

    /// Which steps count, bool (N, T), or (T, N) where time comes first. As in Keras: other steps leave the state as it is,
    /// and their output is the one before, or of a bidirectional layer 0.
    #[must_use]
    pub fn mask(self, mask: &'a Tensor) -> Self {
        SequenceInputs { mask: Some(mask), ..self }
    }
}

/// Row `index` of the first axis of (layers · directions, N, units).
pub(super) fn of_layer(states: &Var, index: usize) -> Result<Var> {
    states.slice(0, index..index + 1)?.squeeze(0)
}
