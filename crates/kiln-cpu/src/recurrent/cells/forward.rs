//! A step forward.

use super::super::rows::Rows;
use super::Part;
use super::lanes::{combine, group, group_or_zero, groups, lane, put};
use crate::operand::Number;
use crate::reduce::LANES;
use crate::{Kernel, Simd};
use kiln_math::recurrent::{Before, Cell, Inner};
use std::marker::PhantomData;

/// A step forward.
#[derive(Clone)]
pub(in crate::recurrent) struct ForwardStep<'a, T> {
    pub(in crate::recurrent) part: Part<'a, T>,
    /// The arguments of the gates; they become the gates.
    pub(in crate::recurrent) gates: Rows<T>,
    /// The states after.
    pub(in crate::recurrent) after: Rows<T>,
    /// What the cell has beside its state.
    pub(in crate::recurrent) inner: Rows<T>,
    /// Where the state goes times `keep`, for the next step's product.
    pub(in crate::recurrent) kept: Rows<T>,
}

/// A step of a cell, or what comes before its last product.
pub(super) struct Advance<'a, 'b, T, C, const G: usize, const W: usize> {
    step: &'a ForwardStep<'b, T>,
    cell: PhantomData<C>,
    before_factor: bool,
}

impl<'a, 'b, T, C: Cell<G, W>, const G: usize, const W: usize> Advance<'a, 'b, T, C, G, W> {
    pub(super) fn new(step: &'a ForwardStep<'b, T>, _: C, before_factor: bool) -> Self {
        Advance { step, cell: PhantomData, before_factor }
    }
}

impl<T: Number, C: Cell<G, W>, const G: usize, const W: usize> Kernel for Advance<'_, '_, T, C, G, W> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in self.step.part.sequences.clone() {
            if C::INNER == Inner::Factor && self.before_factor {
                self.factor::<S>(n);
            } else {
                self.advance::<S>(n);
            }
        }
    }
}

#[allow(clippy::needless_range_loop)] // several arrays side by side
impl<T: Number, C: Cell<G, W>, const G: usize, const W: usize> Advance<'_, '_, T, C, G, W> {
    /// The step of a sequence.
    #[inline(always)]
    fn advance<S: Simd>(&self, n: usize) {
        let (step, part, zero) = (self.step, &self.step.part, T::default());
        let units = &part.units;
        // SAFETY: this part's rows and columns, which nobody else touches in this phase.
        let (gates, before, after) =
            unsafe { (part.write_gates::<G>(step.gates, n), part.before.read(n, units), step.after.write(n, units)) };
        let (is_state, has_inner) = (C::INNER == Inner::State, matches!(C::INNER, Inner::State | Inner::Product));
        // SAFETY: as above.
        let (cell, inner) =
            unsafe { (part.read_if(is_state, part.inner_before, n), part.write_if(has_inner, step.inner, n)) };
        if part.is_masked(n) {
            after.copy_from_slice(before);
            if is_state {
                inner.copy_from_slice(cell);
            }
        } else {
            let weights = part.weights::<W>();
            for at in (0..after.len()).step_by(LANES) {
                let mut a = groups::<S, T, G>(&gates, at);
                let mut h = group::<S, T>(before, at, zero);
                let mut x = group_or_zero::<S, T>(if is_state { cell } else { inner }, at);
                let weights = groups::<S, T, W>(&weights, at);
                for l in 0..LANES {
                    let before = Before { h: h[l], inner: x[l], weights: lane(&weights, l) };
                    let after = C::step(lane(&a, l), &before);
                    for g in 0..G {
                        a[g][l] = after.gates[g];
                    }
                    (x[l], h[l]) = (after.inner, after.h);
                }
                // The factor's gates are written already.
                for g in if C::INNER == Inner::Factor { G - 1 } else { 0 }..G {
                    put::<S, T>(gates[g], at, a[g]);
                }
                if has_inner {
                    put::<S, T>(inner, at, x);
                }
                put::<S, T>(after, at, h);
            }
        }
        if let Some(keep) = part.keep {
            // SAFETY: this step's own part.
            let (keep, kept) = unsafe { (keep.read(n, units), step.kept.write(n, units)) };
            combine::<S, T>(kept, [keep, after], |_, keep, h| keep * h);
        }
    }

    /// What the last gate's weight is multiplied by.
    #[inline(always)]
    fn factor<S: Simd>(&self, n: usize) {
        let (step, part, zero) = (self.step, &self.step.part, T::default());
        // SAFETY: this part's rows and columns, which nobody else touches in this phase.
        let (gates, before, inner) = unsafe {
            let inner = step.inner.write(n, &part.units);
            (part.write_gates::<G>(step.gates, n), part.before.read(n, &part.units), inner)
        };
        for at in (0..before.len()).step_by(LANES) {
            let mut a = groups::<S, T, G>(&gates, at);
            let mut h = group::<S, T>(before, at, zero);
            for l in 0..LANES {
                let (gates, factor) = C::factor(lane(&a, l), h[l]);
                for g in 0..G {
                    a[g][l] = gates[g];
                }
                h[l] = factor;
            }
            // The last gate waits for the product.
            for g in 0..G - 1 {
                put::<S, T>(gates[g], at, a[g]);
            }
            put::<S, T>(inner, at, h);
        }
        if let Some(keep) = part.keep {
            // SAFETY: only read, in this phase.
            let keep = unsafe { keep.read(n, &part.units) };
            combine::<S, T>(inner, [keep, keep], |x, keep, _| x * keep);
        }
    }
}
