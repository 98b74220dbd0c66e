//! The cells of one step over some sequences and units.

mod backward;
mod forward;
mod lanes;

pub(super) use backward::{BackwardStep, finish};
pub(super) use forward::ForwardStep;

use super::rows::Rows;
use crate::Isa;
use crate::operand::Number;
use kiln_math::RecurrentCell;
use kiln_math::recurrent::{Cell, CellVisitor};
use std::ops::Range;

/// What both directions of a step read: rows are sequences, columns units, gates one after the other.
#[derive(Clone)]
pub(super) struct Part<'a, T> {
    pub(super) sequences: Range<usize>,
    pub(super) units: Range<usize>,
    pub(super) hidden: usize,
    /// The states before.
    pub(super) before: Rows<T>,
    /// The second states before, of cells that have one.
    pub(super) inner_before: Rows<T>,
    /// (W·hidden,): the units' own weights.
    pub(super) weights: &'a [T],
    /// This step's, one a sequence.
    pub(super) mask: Option<&'a [bool]>,
    pub(super) keep: Option<Rows<T>>,
}

impl<T: Number> Part<'_, T> {
    /// The columns of gate `g`.
    #[inline(always)]
    fn gate(&self, g: usize) -> Range<usize> {
        g * self.hidden + self.units.start..g * self.hidden + self.units.end
    }

    /// Whether the step leaves this sequence's state as it was.
    #[inline(always)]
    fn is_masked(&self, sequence: usize) -> bool {
        self.mask.is_some_and(|mask| !mask[sequence])
    }

    /// A sequence's gates.
    ///
    /// # Safety
    /// As [`Rows::read`].
    #[inline(always)]
    unsafe fn read_gates<'r, const G: usize>(&self, gates: Rows<T>, sequence: usize) -> [&'r [T]; G] {
        // SAFETY: as the caller promises.
        std::array::from_fn(|g| unsafe { gates.read(sequence, &self.gate(g)) })
    }

    /// A sequence's gates, to be written.
    ///
    /// # Safety
    /// As [`Rows::write`].
    #[inline(always)]
    unsafe fn write_gates<'r, const G: usize>(&self, gates: Rows<T>, sequence: usize) -> [&'r mut [T]; G] {
        // SAFETY: as the caller promises; the gates have no column in common.
        std::array::from_fn(|g| unsafe { gates.write(sequence, &self.gate(g)) })
    }

    /// The units' numbers of a sequence, where there are any; else nothing.
    ///
    /// # Safety
    /// As [`Rows::read`], where there are any.
    #[inline(always)]
    unsafe fn read_if<'r>(&self, there: bool, rows: Rows<T>, sequence: usize) -> &'r [T] {
        // SAFETY: as the caller promises.
        if there { unsafe { rows.read(sequence, &self.units) } } else { &[] }
    }

    /// The same, to be written.
    ///
    /// # Safety
    /// As [`Rows::write`], where there are any.
    #[inline(always)]
    unsafe fn write_if<'r>(&self, there: bool, rows: Rows<T>, sequence: usize) -> &'r mut [T] {
        // SAFETY: as the caller promises.
        if there { unsafe { rows.write(sequence, &self.units) } } else { &mut [] }
    }

    /// The units' own weights.
    #[inline(always)]
    fn weights<const W: usize>(&self) -> [&[T]; W] {
        std::array::from_fn(|w| &self.weights[self.gate(w)])
    }
}

/// A step, run by the kernel of its cell.
struct Dispatch<'a, S> {
    isa: Isa,
    step: &'a S,
    before_factor: bool,
}

impl<T: Number> CellVisitor for Dispatch<'_, ForwardStep<'_, T>> {
    type Output = ();
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, cell: C) {
        self.isa.run(forward::Advance::new(self.step, cell, self.before_factor));
    }
}

impl<T: Number> CellVisitor for Dispatch<'_, BackwardStep<'_, T>> {
    type Output = ();
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, cell: C) {
        self.isa.run(backward::Retreat::new(self.step, cell, self.before_factor));
    }
}

/// Runs the cells of a step, or where `before_factor` says so what comes before their last product.
pub(super) fn forward<T: Number>(isa: Isa, cell: RecurrentCell, before_factor: bool, step: &ForwardStep<'_, T>) {
    cell.visit(Dispatch { isa, step, before_factor });
}

/// Runs the gradients of a step's cells, or of what comes before their last product.
pub(super) fn backward<T: Number>(isa: Isa, cell: RecurrentCell, before_factor: bool, step: &BackwardStep<'_, T>) {
    cell.visit(Dispatch { isa, step, before_factor });
}
