//! The forward pass.

use super::cells::{self, ForwardStep, Part};
use super::rows::Rows;
use super::share::Work;
use super::{Inner, Length, Sequence};
use crate::Isa;
use crate::gemm::{GemmFloat, LeftFactor, MatrixElement, Packed, Target};
use crate::operand::Number;
use std::ops::Range;

/// The numbers of workspace that [`forward`] takes.
pub fn forward_workspace<T: GemmFloat + MatrixElement<Accumulator = T>>(isa: Isa, s: &Sequence<'_, T>) -> usize {
    let kept = if s.keep.is_some() { 2 * s.batch * s.hidden } else { 0 };
    s.cell.gates() * Packed::<T>::elements(isa, s.hidden, s.hidden) + kept
}

/// All steps of a recurrent layer.
///
/// `gates` (steps, batch, gates · hidden) holds the input's part of each gate's argument, biases included, and becomes the
/// gates. `states` (steps, batch, hidden) becomes the state after each step. `inner` (steps, batch, hidden), of cells that have
/// it, becomes what [`RecurrentCell::inner`](super::RecurrentCell::inner) names: the second states, the last gate's product with
/// what the cell added to it, or the factor.
/// `workspace` has [`forward_workspace`] numbers of whatever value.
///
/// # Panics
/// Slices of other lengths.
pub fn forward<T: Number + GemmFloat + MatrixElement<Accumulator = T>>(
    isa: Isa,
    s: &Sequence<'_, T>,
    gates: &mut [T],
    states: &mut [T],
    inner: &mut [T],
    mut workspace: &mut [T],
) {
    s.check([
        ("gates", gates.len(), Length::Gates),
        ("states", states.len(), Length::States),
        ("inner", inner.len(), if s.cell.inner() == Inner::Nothing { Length::AtLeast(0) } else { Length::States }),
        ("workspace", workspace.len(), Length::AtLeast(forward_workspace(isa, s))),
    ]);
    if s.is_empty() {
        return;
    }
    let (hidden, width) = (s.hidden, s.gate_width());
    let count = s.cell.gates();
    let weights: [Packed<'_, T>; 4] = std::array::from_fn(|gate| {
        let mut nothing: &mut [T] = &mut [];
        let room = if gate < count { &mut workspace } else { &mut nothing };
        Packed::take(isa, room, if gate < count { hidden } else { 0 }, hidden)
    });
    let (kept_even, kept_odd) = workspace.split_at_mut(workspace.len() / 2);
    if let Some(keep) = s.keep {
        for (to, (&h, &keep)) in kept_even.iter_mut().zip(s.h0.iter().zip(keep)) {
            *to = h * keep;
        }
    }
    let pass = Forward {
        isa,
        s: *s,
        weights,
        gates: Rows::new(gates, width),
        states: Rows::new(states, hidden),
        inner: Rows::new(inner, hidden),
        kept: [Rows::new(kept_even, hidden), Rows::new(kept_odd, hidden)],
    };
    let work = Work {
        steps: s.steps,
        batch: s.batch,
        hidden,
        products: hidden * width,
        weights: hidden * width * size_of::<T>(),
        panel: Packed::<T>::panel(isa),
    };
    let share = work.share();
    // By the threads that will use them, where each has units of its own.
    work.by_units(share, |units| pass.pack(units));
    // SAFETY: `run` hands out sequences and units so that no two parts have an element in common, and each phase reads of
    // others' parts only what an earlier one has written.
    work.run(share, s.phases(), |i, phase, sequences, units| unsafe { pass.step(i, phase, sequences, units) });
}

struct Forward<'a, T: 'static> {
    isa: Isa,
    s: Sequence<'a, T>,
    /// Each gate's weights, transposed: (hidden, hidden).
    weights: [Packed<'a, T>; 4],
    /// Rows are a step's sequences, one step after the other.
    gates: Rows<T>,
    states: Rows<T>,
    inner: Rows<T>,
    /// States times `keep`, of even and odd steps.
    kept: [Rows<T>; 2],
}

impl<T: Number + GemmFloat + MatrixElement<Accumulator = T>> Forward<'_, T> {
    /// Packs the weights of some units.
    fn pack(&self, units: Range<usize>) {
        let hidden = self.s.hidden;
        for (gate, weights) in self.weights.iter().enumerate().take(self.s.cell.gates()) {
            // SAFETY: the gate's rows of the weights, whose columns are the products' k.
            unsafe {
                let first = self.s.weight.as_ptr().add(gate * hidden * hidden);
                weights.pack(units.clone(), first, (1, hidden as isize));
            }
        }
    }

    /// One phase of the `i`-th step for some sequences and units.
    ///
    /// # Safety
    /// Nobody else touches these at this time, and what the phase reads of others is written.
    unsafe fn step(&self, i: usize, phase: usize, sequences: Range<usize>, units: Range<usize>) {
        let s = &self.s;
        let (t, hidden) = (s.step(i), s.hidden);
        let slab = |rows: Rows<T>, t: usize| rows.from(t * s.batch, 0);
        let previous = |rows: Rows<T>, first: &[T]| {
            if i == 0 { Rows::lent(first, hidden) } else { slab(rows, s.step(i - 1)) }
        };
        let (gates, inner) = (slab(self.gates, t), slab(self.inner, t));
        let before = previous(self.states, s.h0);
        let (last, kind, joint) = (s.cell.gates() - 1, s.cell.inner(), s.joint_gates());
        let multiply = |gate: usize, factor: Rows<T>, to: Rows<T>, accumulate: bool| {
            let to = to.from(sequences.start, 0);
            let target = Target { rows: sequences.len(), c: to.first(), c_row: to.stride(), accumulate };
            let factor =
                LeftFactor { a: factor.from(sequences.start, 0).first(), a_row: factor.stride(), ks: 0..hidden };
            // SAFETY: as the caller promises; packed before the first step.
            unsafe { self.weights[gate].multiply(units.clone(), &[factor], &target) };
        };
        if phase == 0 {
            let factor = self.recurrent_input(i, before);
            (0..joint).for_each(|gate| multiply(gate, factor, gates.from(0, gate * hidden), true));
            if kind == Inner::Product {
                multiply(last, factor, inner, false);
            }
        } else {
            multiply(last, inner, gates.from(0, last * hidden), true);
        }
        let part = Part {
            sequences: sequences.clone(),
            units: units.clone(),
            hidden,
            before,
            inner_before: if kind == Inner::State { previous(self.inner, s.c0) } else { inner },
            weights: s.unit_weights,
            mask: s.mask.map(|mask| &mask[t * s.batch..(t + 1) * s.batch]),
            keep: s.keep.map(|keep| Rows::lent(keep, hidden)),
        };
        let (after, kept) = (slab(self.states, t), self.kept[(i + 1) % 2]);
        let step = ForwardStep { part, gates, after, inner, kept };
        cells::forward(self.isa, s.cell, phase + 1 < s.phases(), &step);
    }

    /// What the `i`-th step's weights are multiplied by.
    fn recurrent_input(&self, i: usize, before: Rows<T>) -> Rows<T> {
        if self.s.keep.is_some() { self.kept[i % 2] } else { before }
    }
}
