//! Recurrent networks over whole sequences: the recurrent product and the gates of every step, forward and backward.
//!
//! The input's part of all gates is one matrix product that was made before; here each step adds h·Wᵀ to it and runs the
//! cell. The weights are packed once a call. Threads either take sequences of their own, which need nothing of one another,
//! or, where the weights do not fit a core's cache, units of their own, whose weights then stay where they are through all
//! steps (`share`). Nothing is allocated, and each number is one chain of multiply-adds in the order of the units, started
//! from the input's part: the bits do not depend on the number of threads.

mod backward;
mod cells;
mod forward;
mod gradients;
mod rows;
mod share;

pub use backward::{Gradients, Incoming, backward, backward_workspace};
pub use forward::{forward, forward_workspace};
pub use kiln_math::RecurrentCell;

/// What a recurrent layer computes with, one direction of one layer. All arrays are row-major.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a, T> {
    /// The cell.
    pub cell: RecurrentCell,
    /// Steps.
    pub steps: usize,
    /// Sequences.
    pub batch: usize,
    /// Units.
    pub hidden: usize,
    /// Whether the last step comes first.
    pub reverse: bool,
    /// (gates · hidden, hidden): what the state before is multiplied by.
    pub weight: &'a [T],
    /// (hidden,): of a GRU whose reset gate comes after, what is added to n's product before the gate.
    pub bias: Option<&'a [T]>,
    /// (steps, batch): where false, the step leaves the sequence's state as it was.
    pub mask: Option<&'a [bool]>,
    /// (batch, hidden): what states are multiplied by on their way into the recurrent product, at every step the same
    /// (dropout).
    pub keep: Option<&'a [T]>,
    /// (batch, hidden): the state before the first step.
    pub h0: &'a [T],
    /// (batch, hidden): an LSTM's cell state before the first step; else empty.
    pub c0: &'a [T],
}

impl<T> Sequence<'_, T> {
    /// Numbers in a step's gates of one sequence.
    fn gate_width(&self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// The step that comes `i`-th.
    fn step(&self, i: usize) -> usize {
        if self.reverse { self.steps - 1 - i } else { i }
    }

    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool {
        self.steps == 0 || self.batch == 0 || self.hidden == 0
    }
}
