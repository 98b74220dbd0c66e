//! The cells of one step over some sequences and units, forward.

use super::rows::Rows;
use crate::operand::Number;
use crate::reduce::LANES;
use crate::softmax::{group, put};
use crate::{Isa, Kernel, Simd};
use kiln_math::{RecurrentCell, recurrent};
use std::ops::Range;

/// What a step's cells read and write: rows are sequences, columns units, gates one after the other.
#[derive(Clone)]
pub(super) struct ForwardStep<'a, T> {
    pub(super) sequences: Range<usize>,
    pub(super) units: Range<usize>,
    pub(super) hidden: usize,
    /// The arguments of the gates; they become the gates.
    pub(super) gates: Rows<T>,
    /// The states before and after.
    pub(super) before: Rows<T>,
    pub(super) after: Rows<T>,
    /// An LSTM's cell state before; else nothing.
    pub(super) inner_before: Rows<T>,
    /// An LSTM's cell state after; a GRU's third product or its factor.
    pub(super) inner: Rows<T>,
    pub(super) bias: Option<&'a [T]>,
    /// This step's, one a sequence.
    pub(super) mask: Option<&'a [bool]>,
    pub(super) keep: Option<Rows<T>>,
    /// Where the state goes times `keep`, for the next step's product.
    pub(super) kept: Rows<T>,
}

impl<T: Number> ForwardStep<'_, T> {
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

    /// The state times `keep`, if there is one.
    #[inline(always)]
    fn put_kept<S: Simd>(&self, sequence: usize, state: &[T]) {
        if let Some(keep) = self.keep {
            // SAFETY: this step's own part.
            let (keep, kept) = unsafe { (keep.read(sequence, &self.units), self.kept.write(sequence, &self.units)) };
            multiply::<S, T>(kept, keep, state);
        }
    }
}

/// out = a ⊙ b
#[inline(always)]
pub(super) fn multiply<S: Simd, T: Number>(out: &mut [T], a: &[T], b: &[T]) {
    for at in (0..out.len()).step_by(LANES) {
        let (mut x, y) = (group::<S, T>(a, at, T::default()), group::<S, T>(b, at, T::default()));
        for l in 0..LANES {
            x[l] = x[l] * y[l];
        }
        put::<S, T>(out, at, x);
    }
}

struct Simple<'a, 'b, T>(&'a ForwardStep<'b, T>, bool);

impl<T: Number> Kernel for Simple<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Simple(step, relu) = self;
        for n in step.sequences.clone() {
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let (a, before, after) = unsafe {
                let (units, gate) = (&step.units, &step.gate(0));
                (step.gates.write(n, gate), step.before.read(n, units), step.after.write(n, units))
            };
            if step.is_masked(n) {
                after.copy_from_slice(before);
            } else {
                for at in (0..a.len()).step_by(LANES) {
                    let mut x = group::<S, T>(a, at, T::default());
                    for x in &mut x {
                        *x = recurrent::simple(relu, *x);
                    }
                    put::<S, T>(a, at, x);
                    put::<S, T>(after, at, x);
                }
            }
            step.put_kept::<S>(n, after);
        }
    }
}

struct Lstm<'a, 'b, T>(&'a ForwardStep<'b, T>);

impl<T: Number> Kernel for Lstm<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = self.0;
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let ([i, f, g, o], before, after) = unsafe {
                let gates = [0, 1, 2, 3].map(|gate| step.gates.write(n, &step.gate(gate)));
                (gates, step.before.read(n, units), step.after.write(n, units))
            };
            // SAFETY: as above.
            let (c, c_after) = unsafe { (step.inner_before.read(n, units), step.inner.write(n, units)) };
            if step.is_masked(n) {
                after.copy_from_slice(before);
                c_after.copy_from_slice(c);
                step.put_kept::<S>(n, after);
                continue;
            }
            let zero = T::default();
            for at in (0..c.len()).step_by(LANES) {
                let (mut a, mut b) = (group::<S, T>(i, at, zero), group::<S, T>(f, at, zero));
                let (mut d, mut e) = (group::<S, T>(g, at, zero), group::<S, T>(o, at, zero));
                let (mut cell, mut state) = (group::<S, T>(c, at, zero), a);
                for l in 0..LANES {
                    let gates;
                    (gates, cell[l], state[l]) = recurrent::lstm([a[l], b[l], d[l], e[l]], cell[l]);
                    [a[l], b[l], d[l], e[l]] = gates;
                }
                put::<S, T>(i, at, a);
                put::<S, T>(f, at, b);
                put::<S, T>(g, at, d);
                put::<S, T>(o, at, e);
                put::<S, T>(c_after, at, cell);
                put::<S, T>(after, at, state);
            }
            step.put_kept::<S>(n, after);
        }
    }
}

/// A GRU's step whose reset gate comes after the product.
struct Gru<'a, 'b, T>(&'a ForwardStep<'b, T>);

impl<T: Number> Kernel for Gru<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = self.0;
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let ([r, z, new], before, after, inner) = unsafe {
                let gates = [0, 1, 2].map(|gate| step.gates.write(n, &step.gate(gate)));
                (gates, step.before.read(n, units), step.after.write(n, units), step.inner.write(n, units))
            };
            if step.is_masked(n) {
                after.copy_from_slice(before);
                step.put_kept::<S>(n, after);
                continue;
            }
            let zero = T::default();
            for at in (0..r.len()).step_by(LANES) {
                let (mut a, mut b) = (group::<S, T>(r, at, zero), group::<S, T>(z, at, zero));
                let (mut d, mut e) = (group::<S, T>(new, at, zero), group::<S, T>(inner, at, zero));
                let mut state = group::<S, T>(before, at, zero);
                if let Some(bias) = step.bias {
                    let bias = group::<S, T>(&bias[units.clone()], at, zero);
                    for l in 0..LANES {
                        e[l] = e[l] + bias[l];
                    }
                }
                for l in 0..LANES {
                    let gates;
                    (gates, state[l]) = recurrent::gru([a[l], b[l], d[l]], e[l], state[l]);
                    [a[l], b[l], d[l]] = gates;
                }
                put::<S, T>(r, at, a);
                put::<S, T>(z, at, b);
                put::<S, T>(new, at, d);
                put::<S, T>(inner, at, e);
                put::<S, T>(after, at, state);
            }
            step.put_kept::<S>(n, after);
        }
    }
}

/// The first half of a GRU's step whose reset gate comes before the product: r, z, and r⊙h.
struct Reset<'a, 'b, T>(&'a ForwardStep<'b, T>);

impl<T: Number> Kernel for Reset<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = self.0;
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let ([r, z], before, inner) = unsafe {
                let gates = [0, 1].map(|gate| step.gates.write(n, &step.gate(gate)));
                (gates, step.before.read(n, units), step.inner.write(n, units))
            };
            let zero = T::default();
            for at in (0..r.len()).step_by(LANES) {
                let (mut a, mut b) = (group::<S, T>(r, at, zero), group::<S, T>(z, at, zero));
                let mut h = group::<S, T>(before, at, zero);
                for l in 0..LANES {
                    (a[l], b[l]) = (kiln_math::Real::sigmoid(a[l]), kiln_math::Real::sigmoid(b[l]));
                    h[l] = a[l] * h[l];
                }
                put::<S, T>(r, at, a);
                put::<S, T>(z, at, b);
                put::<S, T>(inner, at, h);
            }
            if let Some(keep) = step.keep {
                // SAFETY: only read, in this phase.
                let keep = unsafe { keep.read(n, units) };
                for at in (0..inner.len()).step_by(LANES) {
                    let (mut x, y) = (group::<S, T>(inner, at, zero), group::<S, T>(keep, at, zero));
                    for l in 0..LANES {
                        x[l] = x[l] * y[l];
                    }
                    put::<S, T>(inner, at, x);
                }
            }
        }
    }
}

/// The second half of it: n and the new state.
struct Renew<'a, 'b, T>(&'a ForwardStep<'b, T>);

impl<T: Number> Kernel for Renew<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = self.0;
        for n in step.sequences.clone() {
            let units = &step.units;
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let (z, new, before, after) = unsafe {
                let (z, new) = (step.gates.read(n, &step.gate(1)), step.gates.write(n, &step.gate(2)));
                (z, new, step.before.read(n, units), step.after.write(n, units))
            };
            if step.is_masked(n) {
                after.copy_from_slice(before);
                step.put_kept::<S>(n, after);
                continue;
            }
            let zero = T::default();
            for at in (0..z.len()).step_by(LANES) {
                let (z, mut x) = (group::<S, T>(z, at, zero), group::<S, T>(new, at, zero));
                let mut h = group::<S, T>(before, at, zero);
                for l in 0..LANES {
                    x[l] = kiln_math::Real::tanh(x[l]);
                    h[l] = recurrent::gru_mix(z[l], x[l], h[l]);
                }
                put::<S, T>(new, at, x);
                put::<S, T>(after, at, h);
            }
            step.put_kept::<S>(n, after);
        }
    }
}

/// Runs the cells of a step: those of a GRU whose reset gate comes before its product in two phases, others in one.
pub(super) fn forward<T: Number>(isa: Isa, cell: RecurrentCell, phase: usize, step: &ForwardStep<'_, T>) {
    match (cell, phase) {
        (RecurrentCell::Tanh, _) => isa.run(Simple(step, false)),
        (RecurrentCell::Relu, _) => isa.run(Simple(step, true)),
        (RecurrentCell::Lstm, _) => isa.run(Lstm(step)),
        (RecurrentCell::Gru { reset_after: true }, _) => isa.run(Gru(step)),
        (RecurrentCell::Gru { reset_after: false }, 0) => isa.run(Reset(step)),
        (RecurrentCell::Gru { reset_after: false }, _) => isa.run(Renew(step)),
    }
}
