//! Recurrent networks over whole sequences: the recurrent product and the gates of every step, forward and backward.
//!
//! The input's part of all gates is one matrix product that was made before; here each step adds h·Wᵀ to it and runs the
//! cell. The weights are packed once a call. Threads either take sequences of their own, which need nothing of one another,
//! or, where the weights do not fit a core's cache, units of their own, whose weights then stay where they are through all
//! steps (`share`). Nothing is allocated. A product's sum over the units, or over the gates and the units of each, is cut into
//! blocks as that of any product ([`crate::gemm`]), which are added to the input's part: the bits do not depend on the number of
//! threads.

mod backward;
mod cells;
mod forward;
mod rows;
mod share;

pub use backward::{Gradients, Incoming, backward, backward_workspace};
pub use forward::{forward, forward_workspace};
pub use kiln_math::RecurrentCell;
use kiln_math::recurrent::Inner;

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
    /// ([`RecurrentCell::unit_weights`] · hidden,): the units' own weights.
    pub unit_weights: &'a [T],
    /// (steps, batch): where false, the step leaves the sequence's state as it was.
    pub mask: Option<&'a [bool]>,
    /// (batch, hidden): what states are multiplied by on their way into the recurrent product, at every step the same
    /// (dropout).
    pub keep: Option<&'a [T]>,
    /// (batch, hidden): the state before the first step.
    pub h0: &'a [T],
    /// (batch, hidden): the second state before the first step, of cells that have one; else empty.
    pub c0: &'a [T],
}

impl<T> Sequence<'_, T> {
    /// Numbers in a step's gates of one sequence.
    fn gate_width(&self) -> usize {
        self.cell.gates().saturating_mul(self.hidden)
    }

    /// Gates whose product is added to their arguments, all at once; the last one of some cells is apart.
    fn joint_gates(&self) -> usize {
        match self.cell.inner() {
            Inner::Nothing | Inner::State => self.cell.gates(),
            Inner::Product | Inner::Factor => self.cell.gates() - 1,
        }
    }

    /// Phases of a step: the factor is computed before the last product.
    fn phases(&self) -> usize {
        if self.cell.inner() == Inner::Factor { 2 } else { 1 }
    }

    /// The step that comes `i`-th.
    fn step(&self, i: usize) -> usize {
        if self.reverse { self.steps - 1 - i } else { i }
    }

    /// Numbers of the units' own weights.
    fn own_weights(&self) -> usize {
        self.cell.unit_weights().saturating_mul(self.hidden)
    }

    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool {
        self.steps == 0 || self.batch == 0 || self.hidden == 0
    }

    /// Refuses slices that are not as long as the sizes say: [`Sequence`]'s own, and those of a call, by their names.
    #[track_caller]
    fn check<const N: usize>(&self, call: [(&str, usize, Length); N]) {
        let units = self.batch.saturating_mul(self.hidden);
        let optional = |given: Option<usize>, needed: usize| given.map_or((needed, needed), |given| (given, needed));
        let weight = self.gate_width().saturating_mul(self.hidden);
        let mask = self.mask.map(<[bool]>::len);
        expect("weight", (self.weight.len(), weight));
        expect("unit_weights", (self.unit_weights.len(), self.own_weights()));
        expect("mask", optional(mask, self.steps.saturating_mul(self.batch)));
        expect("keep", optional(self.keep.map(<[T]>::len), units));
        expect("h0", (self.h0.len(), units));
        if self.cell.has_cell_state() {
            expect("c0", (self.c0.len(), units));
        }
        let steps = self.steps.saturating_mul(units);
        for (name, given, length) in call {
            let needed = match length {
                Length::Gates => self.steps.saturating_mul(self.batch).saturating_mul(self.gate_width()),
                Length::States => steps,
                Length::State => units,
                Length::Exactly(needed) => needed,
                Length::AtLeast(needed) if given >= needed => given,
                Length::AtLeast(needed) => needed,
            };
            expect(name, (given, needed));
        }
    }
}

/// How long a slice of a call is to be.
enum Length {
    /// (steps, batch, gates · hidden)
    Gates,
    /// (steps, batch, hidden)
    States,
    /// (batch, hidden)
    State,
    Exactly(usize),
    AtLeast(usize),
}

/// The public functions' contract, as of any slice function: a caller's mistake, not a state that data can lead to.
#[track_caller]
fn expect(name: &str, (given, needed): (usize, usize)) {
    assert!(given == needed, "`{name}` of a recurrent layer has {given} elements, its sizes ask for {needed}");
}
