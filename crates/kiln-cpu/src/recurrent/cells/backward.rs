//! The gradients of a step.

use super::super::rows::Rows;
use super::Part;
use super::lanes::{combine, group, group_or_zero, groups, lane, put};
use crate::operand::Number;
use crate::reduce::LANES;
use crate::{Isa, Kernel, Simd};
use kiln_math::Real;
use kiln_math::recurrent::{After, Before, Cell, Inner, Slopes};
use std::marker::PhantomData;

/// A step backward.
#[derive(Clone)]
pub(in crate::recurrent) struct BackwardStep<'a, T> {
    pub(in crate::recurrent) part: Part<'a, T>,
    /// What the forward pass left.
    pub(in crate::recurrent) gates: Rows<T>,
    pub(in crate::recurrent) inner: Rows<T>,
    /// The gradient of this step's state as an output.
    pub(in crate::recurrent) dy: Option<Rows<T>>,
    /// The gradients of the state and of a second state, of the step after; they become those of the step before, but for what
    /// comes through the recurrent product.
    pub(in crate::recurrent) dh: Rows<T>,
    pub(in crate::recurrent) dc: Rows<T>,
    /// What came through the recurrent product, where it is not in `dh` already; after it the gradient of the factor.
    pub(in crate::recurrent) product: Option<Rows<T>>,
    /// The gradients of the gates' arguments.
    pub(in crate::recurrent) dgates: Rows<T>,
    /// The gradient of the product that is apart.
    pub(in crate::recurrent) dproduct: Rows<T>,
    /// The gradients of each unit's own weights, of this sequence so far.
    pub(in crate::recurrent) dweights: Rows<T>,
    /// Sequences.
    pub(in crate::recurrent) batch: usize,
}

/// The gradients of a cell's step, or of what comes before its last product.
pub(super) struct Retreat<'a, 'b, T, C, const G: usize, const W: usize> {
    step: &'a BackwardStep<'b, T>,
    cell: PhantomData<C>,
    before_factor: bool,
}

impl<'a, 'b, T, C: Cell<G, W>, const G: usize, const W: usize> Retreat<'a, 'b, T, C, G, W> {
    pub(super) fn new(step: &'a BackwardStep<'b, T>, _: C, before_factor: bool) -> Self {
        Retreat { step, cell: PhantomData, before_factor }
    }
}

impl<T: Number, C: Cell<G, W>, const G: usize, const W: usize> Kernel for Retreat<'_, '_, T, C, G, W> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in self.step.part.sequences.clone() {
            if C::INNER == Inner::Factor && self.before_factor {
                self.factor::<S>(n);
            } else {
                self.retreat::<S>(n);
            }
        }
    }
}

impl<T: Number, C: Cell<G, W>, const G: usize, const W: usize> Retreat<'_, '_, T, C, G, W> {
    /// The gradients of a sequence's step.
    #[inline(always)]
    fn retreat<S: Simd>(&self, n: usize) {
        let (step, part, zero) = (self.step, &self.step.part, T::default());
        let units = &part.units;
        // SAFETY: this part's rows and columns, which nobody else touches in this phase.
        let (dgates, dh) = unsafe { (part.write_gates::<G>(step.dgates, n), step.dh.write(n, units)) };
        let (is_state, is_product) = (C::INNER == Inner::State, C::INNER == Inner::Product);
        // SAFETY: as above.
        let (dc, dproduct) =
            unsafe { (part.write_if(is_state, step.dc, n), part.write_if(is_product, step.dproduct, n)) };
        gather::<S, T>(step, n, dh);
        if part.is_masked(n) {
            dgates.into_iter().chain([dproduct]).for_each(|gradient| gradient.fill(zero));
            return;
        }
        // SAFETY: only read.
        let (gates, before) = unsafe { (part.read_gates::<G>(step.gates, n), part.before.read(n, units)) };
        // SAFETY: as above.
        let (cell, inner) = unsafe {
            let inner = part.read_if(is_state || is_product, step.inner, n);
            (part.read_if(is_state, part.inner_before, n), inner)
        };
        let weights = part.weights::<W>();
        // SAFETY: this part's own.
        let dweights: [&mut [T]; W] =
            std::array::from_fn(|w| unsafe { step.dweights.write(w * step.batch + n, units) });
        for at in (0..dh.len()).step_by(LANES) {
            let mut a = groups::<S, T, G>(&gates, at);
            let (h, mut dstate) = (group::<S, T>(before, at, zero), group::<S, T>(dh, at, zero));
            let own = groups::<S, T, W>(&weights, at);
            let mut sums = groups::<S, T, W>(&dweights, at);
            let (x_before, x_after) = (group_or_zero::<S, T>(cell, at), group_or_zero::<S, T>(inner, at));
            let mut dx = group_or_zero::<S, T>(dc, at);
            for l in 0..LANES {
                let before = Before { h: h[l], inner: x_before[l], weights: lane(&own, l) };
                // No gradient reads the new state where it is no gate.
                let after = After { gates: lane(&a, l), inner: x_after[l], h: zero.enter::<S>() };
                let Slopes { gates, inner, h, weights } = C::grad(&after, &before, dstate[l], dx[l]);
                for g in 0..G {
                    a[g][l] = gates[g];
                }
                for w in 0..W {
                    sums[w][l] = sums[w][l] + weights[w];
                }
                (dx[l], dstate[l]) = (inner, h);
            }
            for g in 0..G {
                put::<S, T>(dgates[g], at, a[g]);
            }
            for w in 0..W {
                put::<S, T>(dweights[w], at, sums[w]);
            }
            if is_state || is_product {
                put::<S, T>(if is_state { &mut *dc } else { &mut *dproduct }, at, dx);
            }
            put::<S, T>(dh, at, dstate);
        }
    }

    /// From the gradient of the factor. Of a masked step it is 0, and nothing changes.
    #[inline(always)]
    fn factor<S: Simd>(&self, n: usize) {
        let (step, part, zero) = (self.step, &self.step.part, T::default());
        let units = &part.units;
        let Some(product) = step.product else { return };
        // SAFETY: this part's rows and columns, which nobody else touches in this phase.
        let (gates, dgates, before) = unsafe {
            let (gates, before) = (part.read_gates::<G>(step.gates, n), part.before.read(n, units));
            (gates, part.write_gates::<G>(step.dgates, n), before)
        };
        // SAFETY: as above.
        let (product, dh) = unsafe { (product.write(n, units), step.dh.write(n, units)) };
        if let Some(keep) = part.keep {
            // SAFETY: only read.
            let keep = unsafe { keep.read(n, units) };
            combine::<S, T>(product, [keep, keep], |x, keep, _| x * keep);
        }
        for at in (0..dh.len()).step_by(LANES) {
            let a = groups::<S, T, G>(&gates, at);
            let mut slopes = groups::<S, T, G>(&dgates, at);
            let (h, mut dstate) = (group::<S, T>(before, at, zero), group::<S, T>(dh, at, zero));
            let factor = group::<S, T>(product, at, zero);
            for l in 0..LANES {
                let (gates, through) = C::factor_grad(lane(&a, l), h[l], lane(&slopes, l), factor[l]);
                for g in 0..G {
                    slopes[g][l] = gates[g];
                }
                dstate[l] = dstate[l] + through;
            }
            for g in 0..G {
                put::<S, T>(dgates[g], at, slopes[g]);
            }
            put::<S, T>(dh, at, dstate);
        }
    }
}

/// The whole gradient of a sequence's state into `dh`.
#[inline(always)]
fn gather<S: Simd, T: Number>(step: &BackwardStep<'_, T>, n: usize, dh: &mut [T]) {
    let units = &step.part.units;
    if let (Some(product), Some(keep)) = (step.product, step.part.keep) {
        // SAFETY: this part's own.
        let (product, keep) = unsafe { (product.read(n, units), keep.read(n, units)) };
        combine::<S, T>(dh, [product, keep], |x, product, keep| product.mul_add(keep, x));
    }
    if let Some(dy) = step.dy {
        // SAFETY: only read.
        let dy = unsafe { dy.read(n, units) };
        combine::<S, T>(dh, [dy, dy], |x, dy, _| x + dy);
    }
}

/// The last of what comes through the recurrent product: dh += keep ⊙ product.
struct Rest<'a, 'b, T>(&'a BackwardStep<'b, T>);

impl<T: Number> Kernel for Rest<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for n in self.0.part.sequences.clone() {
            // SAFETY: this part's rows and columns, which nobody else touches in this phase.
            let dh = unsafe { self.0.dh.write(n, &self.0.part.units) };
            gather::<S, T>(self.0, n, dh);
        }
    }
}

/// Adds what came through the recurrent product to the gradient of the first state.
pub(in crate::recurrent) fn finish<T: Number>(isa: Isa, step: &BackwardStep<'_, T>) {
    isa.run(Rest(step));
}
