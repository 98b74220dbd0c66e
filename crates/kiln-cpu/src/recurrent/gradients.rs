//! The cells of one step over some sequences and units, backward.

use super::rows::Rows;
use crate::operand::Number;
use crate::reduce::LANES;
use crate::softmax::{group, put};
use crate::{Isa, Kernel, Simd};
use kiln_math::{RecurrentCell, recurrent};
use std::ops::Range;

/// What the gradients of a step's cells read and write: rows are sequences, columns units, gates one after the other.
#[derive(Clone)]
pub(super) struct BackwardStep<'a, T> {
    pub(super) sequences: Range<usize>,
    pub(super) units: Range<usize>,
    pub(super) hidden: usize,
    /// What the forward pass left.
    pub(super) gates: Rows<T>,
    pub(super) before: Rows<T>,
    pub(super) inner_before: Rows<T>,
    pub(super) inner: Rows<T>,
    /// The gradient of this step's state as an output.
    pub(super) dy: Option<Rows<T>>,
    /// The gradients of the state and an LSTM's cell state, of the step after; they become those of the step before, but for
    /// what comes through the recurrent product.
    pub(super) dh: Rows<T>,
    pub(super) dc: Rows<T>,
    /// What came through the recurrent product, where it is not in `dh` already; in the second phase of a GRU whose reset
    /// gate comes before, the gradient of r⊙h.
    pub(super) product: Option<Rows<T>>,
    /// The gradients of the gates' arguments.
    pub(super) dgates: Rows<T>,
    /// The gradient of W·h + b of a GRU whose reset gate comes after.
    pub(super) dinner: Rows<T>,
    pub(super) mask: Option<&'a [bool]>,
    pub(super) keep: Option<Rows<T>>,
}

impl<T: Number> BackwardStep<'_, T> {
    /// The columns of gate `g`.
    #[inline(always)]
    fn gate(&self, g: usize) -> Range<usize> {
        g * self.hidden + self.units.start..g * self.hidden + self.units.end
    }

    /// The whole gradient of a sequence's state into `dh`; whether the step is masked, and that is all.
    #[inline(always)]
    fn gather<S: Simd>(&self, sequence: usize, dh: &mut [T]) -> bool {
        if let (Some(product), Some(keep)) = (self.product, self.keep) {
            // SAFETY: this part's own.
            let (product, keep) = unsafe { (product.read(sequence, &self.units), keep.read(sequence, &self.units)) };
            add_product::<S, T>(dh, product, keep);
        }
        if let Some(dy) = self.dy {
            // SAFETY: only read.
            let dy = unsafe { dy.read(sequence, &self.units) };
            for at in (0..dh.len()).step_by(LANES) {
                let (mut x, y) = (group::<S, T>(dh, at, T::default()), group::<S, T>(dy, at, T::default()));
                for l in 0..LANES {
                    x[l] = x[l] + y[l];
                }
                put::<S, T>(dh, at, x);
            }
        }
        self.mask.is_some_and(|mask| !mask[sequence])
    }
}

/// to += a ⊙ b
#[inline(always)]
pub(super) fn add_product<S: Simd, T: Number>(to: &mut [T], a: &[T], b: &[T]) {
    let zero = T::default();
    for at in (0..to.len()).step_by(LANES) {
        let (mut x, y) = (group::<S, T>(to, at, zero), group::<S, T>(a, at, zero));
        let z = group::<S, T>(b, at, zero);
        for l in 0..LANES {
            x[l] = kiln_math::Real::mul_add(y[l], z[l], x[l]);
        }
        put::<S, T>(to, at, x);
    }
}

struct Simple<'a, 'b, T>(&'a BackwardStep<'b, T>, bool);

impl<T: Number> Kernel for Simple<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Simple(step, relu) = self;
        for n in step.sequences.clone() {
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let (h, da, dh) = unsafe {
                let gate = step.gate(0);
                (step.gates.read(n, &gate), step.dgates.write(n, &gate), step.dh.write(n, &step.units))
            };
            if step.gather::<S>(n, dh) {
                da.fill(T::default());
                continue;
            }
            for at in (0..h.len()).step_by(LANES) {
                let (h, mut x) = (group::<S, T>(h, at, T::default()), group::<S, T>(dh, at, T::default()));
                for l in 0..LANES {
                    x[l] = recurrent::simple_grad(relu, h[l], x[l]);
                }
                put::<S, T>(da, at, x);
            }
            dh.fill(T::default());
        }
    }
}

struct Lstm<'a, 'b, T>(&'a BackwardStep<'b, T>);

impl<T: Number> Kernel for Lstm<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = self.0;
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let ([i, f, g, o], [di, df, dg, d_o]) = unsafe {
                let gates = [0, 1, 2, 3].map(|gate| step.gates.read(n, &step.gate(gate)));
                (gates, [0, 1, 2, 3].map(|gate| step.dgates.write(n, &step.gate(gate))))
            };
            // SAFETY: as above.
            let (before, after, dh, dc) = unsafe {
                let (before, after) = (step.inner_before.read(n, units), step.inner.read(n, units));
                (before, after, step.dh.write(n, units), step.dc.write(n, units))
            };
            if step.gather::<S>(n, dh) {
                [di, df, dg, d_o].into_iter().for_each(|gradient| gradient.fill(T::default()));
                continue;
            }
            let zero = T::default();
            for at in (0..dh.len()).step_by(LANES) {
                let (mut a, mut b) = (group::<S, T>(i, at, zero), group::<S, T>(f, at, zero));
                let (mut d, mut e) = (group::<S, T>(g, at, zero), group::<S, T>(o, at, zero));
                let (before, after) = (group::<S, T>(before, at, zero), group::<S, T>(after, at, zero));
                let (h, mut c) = (group::<S, T>(dh, at, zero), group::<S, T>(dc, at, zero));
                for l in 0..LANES {
                    let gradients;
                    (gradients, c[l]) = recurrent::lstm_grad([a[l], b[l], d[l], e[l]], before[l], after[l], h[l], c[l]);
                    [a[l], b[l], d[l], e[l]] = gradients;
                }
                put::<S, T>(di, at, a);
                put::<S, T>(df, at, b);
                put::<S, T>(dg, at, d);
                put::<S, T>(d_o, at, e);
                put::<S, T>(dc, at, c);
            }
            dh.fill(zero);
        }
    }
}

/// A GRU's step: of a reset gate that comes after, all of it; of one that comes before, the first phase.
struct Gru<'a, 'b, T>(&'a BackwardStep<'b, T>, bool);

impl<T: Number> Kernel for Gru<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Gru(step, reset_after) = self;
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let ([r, z, new], [dr, dz, dn]) = unsafe {
                let gates = [0, 1, 2].map(|gate| step.gates.read(n, &step.gate(gate)));
                (gates, [0, 1, 2].map(|gate| step.dgates.write(n, &step.gate(gate))))
            };
            // SAFETY: as above.
            let (before, inner, dh) =
                unsafe { (step.before.read(n, units), step.inner.read(n, units), step.dh.write(n, units)) };
            // SAFETY: as above; without a part of its own where the reset gate comes before.
            let dinner = if reset_after { unsafe { step.dinner.write(n, units) } } else { &mut [] };
            if step.gather::<S>(n, dh) {
                [dr, dz, dn, dinner].into_iter().for_each(|gradient| gradient.fill(T::default()));
                continue;
            }
            let zero = T::default();
            for at in (0..dh.len()).step_by(LANES) {
                let (mut b, mut d) = (group::<S, T>(z, at, zero), group::<S, T>(new, at, zero));
                let (h, mut dstate) = (group::<S, T>(before, at, zero), group::<S, T>(dh, at, zero));
                for l in 0..LANES {
                    (b[l], d[l], dstate[l]) = recurrent::gru_mix_grad(b[l], d[l], h[l], dstate[l]);
                }
                put::<S, T>(dz, at, b);
                put::<S, T>(dn, at, d);
                put::<S, T>(dh, at, dstate);
                if reset_after {
                    let (mut a, x) = (group::<S, T>(r, at, zero), group::<S, T>(inner, at, zero));
                    let mut e = a;
                    for l in 0..LANES {
                        (a[l], e[l]) = recurrent::gru_reset_grad(a[l], x[l], d[l]);
                    }
                    put::<S, T>(dr, at, a);
                    put::<S, T>(dinner, at, e);
                }
            }
        }
    }
}

/// The second phase of a GRU's step whose reset gate comes before: from the gradient of r⊙h.
struct Reset<'a, 'b, T>(&'a BackwardStep<'b, T>);

impl<T: Number> Kernel for Reset<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = self.0;
        let Some(product) = step.product else { return };
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let (r, before, product, dr, dh) = unsafe {
                let (r, before) = (step.gates.read(n, &step.gate(0)), step.before.read(n, units));
                let dr = step.dgates.write(n, &step.gate(0));
                (r, before, product.write(n, units), dr, step.dh.write(n, units))
            };
            // A step that is masked has no gradient here: `product` is 0.
            let zero = T::default();
            if let Some(keep) = step.keep {
                // SAFETY: only read.
                let keep = unsafe { keep.read(n, units) };
                for at in (0..r.len()).step_by(LANES) {
                    let (mut x, y) = (group::<S, T>(product, at, zero), group::<S, T>(keep, at, zero));
                    for l in 0..LANES {
                        x[l] = x[l] * y[l];
                    }
                    put::<S, T>(product, at, x);
                }
            }
            for at in (0..r.len()).step_by(LANES) {
                let (mut a, h) = (group::<S, T>(r, at, zero), group::<S, T>(before, at, zero));
                let (mut x, dstate) = (group::<S, T>(product, at, zero), group::<S, T>(dh, at, zero));
                for l in 0..LANES {
                    let through;
                    (a[l], through) = recurrent::gru_reset_grad(a[l], h[l], x[l]);
                    x[l] = dstate[l] + through;
                }
                put::<S, T>(dr, at, a);
                put::<S, T>(dh, at, x);
            }
        }
    }
}

/// Runs the gradients of a step's cells: those of a GRU whose reset gate comes before its product in two phases, others in
/// one.
pub(super) fn backward<T: Number>(isa: Isa, cell: RecurrentCell, phase: usize, step: &BackwardStep<'_, T>) {
    match (cell, phase) {
        (RecurrentCell::Tanh, _) => isa.run(Simple(step, false)),
        (RecurrentCell::Relu, _) => isa.run(Simple(step, true)),
        (RecurrentCell::Lstm, _) => isa.run(Lstm(step)),
        (RecurrentCell::Gru { reset_after }, 0) => isa.run(Gru(step, reset_after)),
        (RecurrentCell::Gru { .. }, _) => isa.run(Reset(step)),
    }
}

/// The last of what comes through the recurrent product: dh += keep ⊙ product.
struct Rest<'a, 'b, T>(&'a BackwardStep<'b, T>);

impl<T: Number> Kernel for Rest<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in self.0.sequences.clone() {
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let dh = unsafe { self.0.dh.write(n, &self.0.units) };
            self.0.gather::<S>(n, dh);
        }
    }
}

/// Adds what came through the recurrent product to the gradient of the first state.
pub(super) fn finish<T: Number>(isa: Isa, step: &BackwardStep<'_, T>) {
    isa.run(Rest(step));
}
