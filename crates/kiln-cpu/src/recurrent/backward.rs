//! The backward pass.

use super::cells::{self, BackwardStep, Part};
use super::rows::Rows;
use super::share::Work;
use super::{Inner, Length, Sequence};
use crate::Isa;
use crate::gemm::{GemmFloat, LeftFactor, MatrixElement, Packed, Target};
use crate::operand::Number;
use std::ops::Range;

/// What the forward pass left, and the gradients of what it gave.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a, T> {
    /// (steps, batch, gates · hidden): the gates.
    pub gates: &'a [T],
    /// (steps, batch, hidden): the states.
    pub states: &'a [T],
    /// (steps, batch, hidden): what the cell left beside its states.
    pub inner: &'a [T],
    /// (steps, batch, hidden): the gradient of the states.
    pub states_grad: Option<&'a [T]>,
    /// (batch, hidden): the gradient of the last state, beside that.
    pub last_grad: Option<&'a [T]>,
    /// (batch, hidden): the gradient of the last second state.
    pub cell_grad: Option<&'a [T]>,
}

/// Where gradients go.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    /// (steps, batch, gates · hidden): of the gates' arguments, and so of the input's part.
    pub gates: &'a mut [T],
    /// (steps, batch, hidden): of the last gate's product, where it is apart; else empty.
    pub product: &'a mut [T],
    /// (batch, hidden): of the state before the first step.
    pub h0: &'a mut [T],
    /// (batch, hidden): of the second state before the first step; else empty.
    pub c0: &'a mut [T],
    /// ([`unit_weights`](super::RecurrentCell::unit_weights), batch, hidden): of the units' own weights, by each sequence.
    pub unit_weights: &'a mut [T],
}

/// The numbers of workspace that [`backward`] takes.
pub fn backward_workspace<T: GemmFloat + MatrixElement<Accumulator = T>>(isa: Isa, s: &Sequence<'_, T>) -> usize {
    let apart = s.keep.is_some() || s.cell.inner() == Inner::Factor;
    Packed::<T>::elements(isa, s.gate_width(), s.hidden) + if apart { s.batch * s.hidden } else { 0 }
}

/// The gradients of [`forward`](super::forward): of the gates' arguments at each step and of the first states. Those of the
/// weights are products of these with the states.
///
/// `workspace` has [`backward_workspace`] numbers of whatever value.
///
/// # Panics
/// Slices of other lengths.
pub fn backward<T: Number + GemmFloat + MatrixElement<Accumulator = T>>(
    isa: Isa,
    s: &Sequence<'_, T>,
    incoming: &Incoming<'_, T>,
    out: Gradients<'_, T>,
    mut workspace: &mut [T],
) {
    let (kind, has_cell) = (s.cell.inner(), s.cell.has_cell_state());
    let states_if = |present: bool| if present { Length::States } else { Length::AtLeast(0) };
    let state = |given: Option<&[T]>| given.map_or(Length::AtLeast(0), |_| Length::State);
    let length = |given: Option<&[T]>| given.map_or(0, <[T]>::len);
    s.check([
        ("gates", incoming.gates.len(), Length::Gates),
        ("states", incoming.states.len(), Length::States),
        ("inner", incoming.inner.len(), states_if(kind != Inner::Nothing)),
        ("states_grad", length(incoming.states_grad), states_if(incoming.states_grad.is_some())),
        ("last_grad", length(incoming.last_grad), state(incoming.last_grad)),
        (
            "cell_grad",
            length(incoming.cell_grad),
            if has_cell { state(incoming.cell_grad) } else { Length::AtLeast(0) },
        ),
        ("gradient of the gates", out.gates.len(), Length::Gates),
        ("gradient of the product", out.product.len(), states_if(kind == Inner::Product)),
        ("gradient of h0", out.h0.len(), Length::State),
        ("gradient of c0", out.c0.len(), if has_cell { Length::State } else { Length::Exactly(0) }),
        ("gradient of unit_weights", out.unit_weights.len(), Length::Exactly(s.own_weights().saturating_mul(s.batch))),
        ("workspace", workspace.len(), Length::AtLeast(backward_workspace(isa, s))),
    ]);
    // The first states' gradients are where those of the states run from the last step to the first.
    fill(out.h0, incoming.last_grad);
    fill(out.c0, incoming.cell_grad.filter(|_| has_cell));
    fill(out.unit_weights, None);
    if s.is_empty() {
        return;
    }
    let (hidden, width) = (s.hidden, s.gate_width());
    let weights = Packed::take(isa, &mut workspace, width, hidden);
    let pass = Backward {
        isa,
        s: *s,
        weights,
        gates: Rows::lent(incoming.gates, width),
        states: Rows::lent(incoming.states, hidden),
        inner: Rows::lent(incoming.inner, hidden),
        dy: incoming.states_grad.map(|dy| Rows::lent(dy, hidden)),
        dgates: Rows::new(out.gates, width),
        dproduct: Rows::new(out.product, hidden),
        dweights: Rows::new(out.unit_weights, hidden),
        dh: Rows::new(out.h0, hidden),
        dc: Rows::new(out.c0, hidden),
        product: Rows::new(workspace, hidden),
    };
    let work = Work {
        // One more for what comes through the first step's product.
        steps: s.steps + 1,
        batch: s.batch,
        hidden,
        products: hidden * width,
        weights: hidden * width * size_of::<T>(),
        panel: Packed::<T>::panel(isa),
    };
    let share = work.share();
    work.by_units(share, |units| pass.pack(units));
    // SAFETY: `run` hands out sequences and units so that no two parts have an element in common, and each phase reads of
    // others' parts only what an earlier one has written.
    work.run(share, s.phases(), |i, phase, sequences, units| unsafe { pass.step(i, phase, sequences, units) });
}

/// A copy, or zeros.
fn fill<T: Number>(to: &mut [T], from: Option<&[T]>) {
    match from {
        Some(from) => to.copy_from_slice(from),
        None => to.fill(T::default()),
    }
}

struct Backward<'a, T: 'static> {
    isa: Isa,
    s: Sequence<'a, T>,
    /// (gates · hidden, hidden).
    weights: Packed<'a, T>,
    /// Rows are a step's sequences, one step after the other.
    gates: Rows<T>,
    states: Rows<T>,
    inner: Rows<T>,
    dy: Option<Rows<T>>,
    dgates: Rows<T>,
    dproduct: Rows<T>,
    /// Rows are sequences, those of one weight after those of another.
    dweights: Rows<T>,
    /// Rows are sequences.
    dh: Rows<T>,
    dc: Rows<T>,
    product: Rows<T>,
}

impl<T: Number + GemmFloat + MatrixElement<Accumulator = T>> Backward<'_, T> {
    /// Packs the weights of some units.
    fn pack(&self, units: Range<usize>) {
        // SAFETY: the weights, whose rows are the products' k.
        unsafe { self.weights.pack(units, self.s.weight.as_ptr(), (self.s.hidden as isize, 1)) };
    }

    /// `to [+]= Σ from · W[gates]`, of some sequences, for some units.
    ///
    /// # Safety
    /// What each is `from` is written, and nobody else touches these numbers of `to` at this time.
    unsafe fn multiply<const N: usize>(
        &self,
        (to, accumulate): (Rows<T>, bool),
        from: [(Rows<T>, Range<usize>); N],
        sequences: &Range<usize>,
        units: &Range<usize>,
    ) {
        let to = to.from(sequences.start, 0);
        let target = Target { rows: sequences.len(), c: to.first(), c_row: to.stride(), accumulate };
        let factors = from.map(|(from, gates)| LeftFactor {
            a: from.from(sequences.start, 0).first().cast_const(),
            a_row: from.stride(),
            ks: gates.start * self.s.hidden..gates.end * self.s.hidden,
        });
        // SAFETY: as the caller promises; packed before the first step.
        unsafe { self.weights.multiply(units.clone(), &factors, &target) };
    }

    /// What comes from the step `t` through its recurrent product, added to `dh` or, where it is to be multiplied first, put
    /// into `product`.
    ///
    /// # Safety
    /// As [`Backward::step`].
    unsafe fn through_product(&self, t: usize, sequences: &Range<usize>, units: &Range<usize>) {
        let s = &self.s;
        let slab = |rows: Rows<T>| rows.from(t * s.batch, 0);
        let to = if s.keep.is_some() { (self.product, false) } else { (self.dh, true) };
        let (joint, last) = (s.joint_gates(), s.cell.gates() - 1);
        // SAFETY: as the caller promises.
        unsafe {
            let gates = (slab(self.dgates), 0..joint);
            if s.cell.inner() == Inner::Product {
                self.multiply(to, [gates, (slab(self.dproduct), last..last + 1)], sequences, units);
            } else {
                self.multiply(to, [gates], sequences, units);
            }
        }
    }

    /// One phase of the `back`-th step from the end for some sequences and units; the one after the last finishes.
    ///
    /// # Safety
    /// Nobody else touches these at this time, and what the phase reads of others is written.
    unsafe fn step(&self, back: usize, phase: usize, sequences: Range<usize>, units: Range<usize>) {
        let (s, hidden) = (&self.s, self.s.hidden);
        // SAFETY: as the caller promises.
        unsafe {
            if phase == 0 && back > 0 {
                self.through_product(s.step(s.steps - back), &sequences, &units);
            }
            if back < s.steps && phase == 1 {
                let last = s.cell.gates() - 1;
                let dgates = self.dgates.from(s.step(s.steps - 1 - back) * s.batch, last * hidden);
                self.multiply((self.product, false), [(dgates, last..last + 1)], &sequences, &units);
            }
        }
        let i = (s.steps - 1).saturating_sub(back);
        let t = s.step(i);
        let slab = |rows: Rows<T>, t: usize| rows.from(t * s.batch, 0);
        let previous = |rows: Rows<T>, first: &[T]| {
            if i == 0 { Rows::lent(first, hidden) } else { slab(rows, s.step(i - 1)) }
        };
        let inner = slab(self.inner, t);
        // The first step to be gone through has nothing that came through a product.
        let product = (phase == 1 || s.keep.is_some() && back > 0).then_some(self.product);
        let part = Part {
            sequences,
            units,
            hidden,
            before: previous(self.states, s.h0),
            inner_before: if s.cell.has_cell_state() { previous(self.inner, s.c0) } else { inner },
            weights: s.unit_weights,
            mask: s.mask.map(|mask| &mask[t * s.batch..(t + 1) * s.batch]),
            keep: s.keep.map(|keep| Rows::lent(keep, hidden)),
        };
        let step = BackwardStep {
            part,
            gates: slab(self.gates, t),
            inner,
            dy: self.dy.map(|dy| slab(dy, t)).filter(|_| back < s.steps),
            dh: self.dh,
            dc: self.dc,
            product,
            dgates: slab(self.dgates, t),
            dproduct: slab(self.dproduct, t),
            dweights: self.dweights,
            batch: s.batch,
        };
        if back < s.steps {
            cells::backward(self.isa, s.cell, phase == 1, &step);
        } else if phase == 0 {
            cells::finish(self.isa, &step);
        }
    }
}
