//! The cells of one step over some sequences and units, forward and backward.

use super::rows::Rows;
use crate::operand::Number;
use crate::reduce::LANES;
use crate::softmax::{group, put};
use crate::{Isa, Kernel, Simd};
use kiln_math::recurrent::{After, Before, Cell, CellVisitor, Inner, Slopes};
use kiln_math::{Real, RecurrentCell};
use std::marker::PhantomData;
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

    /// The units' own weights.
    #[inline(always)]
    fn weights<const W: usize>(&self) -> [&[T]; W] {
        std::array::from_fn(|w| &self.weights[self.gate(w)])
    }
}

/// A step forward.
#[derive(Clone)]
pub(super) struct ForwardStep<'a, T> {
    pub(super) part: Part<'a, T>,
    /// The arguments of the gates; they become the gates.
    pub(super) gates: Rows<T>,
    /// The states after.
    pub(super) after: Rows<T>,
    /// What the cell has beside its state.
    pub(super) inner: Rows<T>,
    /// Where the state goes times `keep`, for the next step's product.
    pub(super) kept: Rows<T>,
}

/// A step backward.
#[derive(Clone)]
pub(super) struct BackwardStep<'a, T> {
    pub(super) part: Part<'a, T>,
    /// What the forward pass left.
    pub(super) gates: Rows<T>,
    pub(super) inner: Rows<T>,
    /// The gradient of this step's state as an output.
    pub(super) dy: Option<Rows<T>>,
    /// The gradients of the state and of a second state, of the step after; they become those of the step before, but for what
    /// comes through the recurrent product.
    pub(super) dh: Rows<T>,
    pub(super) dc: Rows<T>,
    /// What came through the recurrent product, where it is not in `dh` already; after it the gradient of the factor.
    pub(super) product: Option<Rows<T>>,
    /// The gradients of the gates' arguments.
    pub(super) dgates: Rows<T>,
    /// The gradient of the product that is apart.
    pub(super) dproduct: Rows<T>,
    /// The gradients of each unit's own weights, of this sequence so far.
    pub(super) dweights: Rows<T>,
    /// Sequences.
    pub(super) batch: usize,
}

// Loops, not `array::from_fn`, whose closure may stay a function without the instruction set's features.

/// The same place in each of several arrays of lanes.
#[inline(always)]
fn lane<R: Real, const N: usize>(groups: &[[R; LANES]; N], l: usize) -> [R; N] {
    let mut numbers = [R::constant(0.0); N];
    for n in 0..N {
        numbers[n] = groups[n][l];
    }
    numbers
}

/// A group of lanes from each of several rows.
#[inline(always)]
fn groups<S: Simd, T: Number, const N: usize>(rows: &[impl AsRef<[T]>; N], at: usize) -> [[T::In<S>; LANES]; N] {
    let mut groups = [[T::default().enter::<S>(); LANES]; N];
    for n in 0..N {
        groups[n] = group::<S, T>(rows[n].as_ref(), at, T::default());
    }
    groups
}

/// to = f(to, a, b), number by number.
#[inline(always)]
fn combine<S: Simd, T: Number>(to: &mut [T], [a, b]: [&[T]; 2], f: impl Fn(T::In<S>, T::In<S>, T::In<S>) -> T::In<S>) {
    let zero = T::default();
    for at in (0..to.len()).step_by(LANES) {
        let mut x = group::<S, T>(to, at, zero);
        let (a, b) = (group::<S, T>(a, at, zero), group::<S, T>(b, at, zero));
        for l in 0..LANES {
            x[l] = f(x[l], a[l], b[l]);
        }
        put::<S, T>(to, at, x);
    }
}

/// A step of a cell, or what comes before its last product.
struct Advance<'a, 'b, T, C, const G: usize, const W: usize> {
    step: &'a ForwardStep<'b, T>,
    cell: PhantomData<C>,
    before_factor: bool,
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

impl<T: Number, C: Cell<G, W>, const G: usize, const W: usize> Advance<'_, '_, T, C, G, W> {
    /// The step of a sequence.
    #[inline(always)]
    fn advance<S: Simd>(&self, n: usize) {
        let (step, part, zero) = (self.step, &self.step.part, T::default());
        let units = &part.units;
        // SAFETY: this part's rows and columns, which nobody else touches in this phase.
        let (gates, before, after) =
            unsafe { (part.write_gates::<G>(step.gates, n), part.before.read(n, units), step.after.write(n, units)) };
        // SAFETY: as above; no two of the three overlap, and what the cell does not have is not looked at.
        let (cell, inner): (&[T], &mut [T]) = unsafe {
            match C::INNER {
                Inner::Nothing | Inner::Factor => (&[], &mut []),
                Inner::State => (part.inner_before.read(n, units), step.inner.write(n, units)),
                Inner::Product => (&[], step.inner.write(n, units)),
            }
        };
        if part.is_masked(n) {
            after.copy_from_slice(before);
            if C::INNER == Inner::State {
                inner.copy_from_slice(cell);
            }
        } else {
            let weights = part.weights::<W>();
            for at in (0..after.len()).step_by(LANES) {
                let mut a = groups::<S, T, G>(&gates, at);
                let mut h = group::<S, T>(before, at, zero);
                let mut x = match C::INNER {
                    Inner::State => group::<S, T>(cell, at, zero),
                    Inner::Product => group::<S, T>(inner, at, zero),
                    Inner::Nothing | Inner::Factor => [zero.enter::<S>(); LANES],
                };
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
                if matches!(C::INNER, Inner::State | Inner::Product) {
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

/// The gradients of a cell's step, or of what comes before its last product.
struct Retreat<'a, 'b, T, C, const G: usize, const W: usize> {
    step: &'a BackwardStep<'b, T>,
    cell: PhantomData<C>,
    before_factor: bool,
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
        // SAFETY: as above; what the cell does not have is not looked at.
        let (dc, dproduct): (&mut [T], &mut [T]) = unsafe {
            match C::INNER {
                Inner::Nothing | Inner::Factor => (&mut [], &mut []),
                Inner::State => (step.dc.write(n, units), &mut []),
                Inner::Product => (&mut [], step.dproduct.write(n, units)),
            }
        };
        gather::<S, T>(step, n, dh);
        if part.is_masked(n) {
            dgates.into_iter().chain([dproduct]).for_each(|gradient| gradient.fill(zero));
            return;
        }
        // SAFETY: only read.
        let (gates, before) = unsafe { (part.read_gates::<G>(step.gates, n), part.before.read(n, units)) };
        // SAFETY: as above.
        let (cell, inner): (&[T], &[T]) = unsafe {
            match C::INNER {
                Inner::Nothing | Inner::Factor => (&[], &[]),
                Inner::State => (part.inner_before.read(n, units), step.inner.read(n, units)),
                Inner::Product => (&[], step.inner.read(n, units)),
            }
        };
        let weights = part.weights::<W>();
        // SAFETY: this part's own.
        let dweights: [&mut [T]; W] =
            std::array::from_fn(|w| unsafe { step.dweights.write(w * step.batch + n, units) });
        let missing = [zero.enter::<S>(); LANES];
        for at in (0..dh.len()).step_by(LANES) {
            let mut a = groups::<S, T, G>(&gates, at);
            let (h, mut dstate) = (group::<S, T>(before, at, zero), group::<S, T>(dh, at, zero));
            let own = groups::<S, T, W>(&weights, at);
            let mut sums = groups::<S, T, W>(&dweights, at);
            let (x_before, x_after, mut dx) = match C::INNER {
                Inner::State => {
                    (group::<S, T>(cell, at, zero), group::<S, T>(inner, at, zero), group::<S, T>(dc, at, zero))
                }
                Inner::Product => (missing, group::<S, T>(inner, at, zero), missing),
                Inner::Nothing | Inner::Factor => (missing, missing, missing),
            };
            for l in 0..LANES {
                let before = Before { h: h[l], inner: x_before[l], weights: lane(&own, l) };
                // No gradient reads the new state where it is no gate.
                let after = After { gates: lane(&a, l), inner: x_after[l], h: missing[l] };
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
            match C::INNER {
                Inner::State => put::<S, T>(dc, at, dx),
                Inner::Product => put::<S, T>(dproduct, at, dx),
                Inner::Nothing | Inner::Factor => {}
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

/// A step, run by the kernel of its cell.
struct Dispatch<'a, S> {
    isa: Isa,
    step: &'a S,
    before_factor: bool,
}

impl<T: Number> CellVisitor for Dispatch<'_, ForwardStep<'_, T>> {
    type Output = ();
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, _: C) {
        self.isa.run(Advance { step: self.step, cell: PhantomData::<C>, before_factor: self.before_factor });
    }
}

impl<T: Number> CellVisitor for Dispatch<'_, BackwardStep<'_, T>> {
    type Output = ();
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, _: C) {
        self.isa.run(Retreat { step: self.step, cell: PhantomData::<C>, before_factor: self.before_factor });
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

/// Adds what came through the recurrent product to the gradient of the first state.
pub(super) fn finish<T: Number>(isa: Isa, step: &BackwardStep<'_, T>) {
    isa.run(Rest(step));
}
