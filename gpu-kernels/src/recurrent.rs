//! The cells of one step of a recurrent layer over all sequences and units, and their gradients, generated from kiln-math's list;
//! the products are [`crate::matmul`]'s.
//!
//! A thread has one unit of one sequence. A step's arrays are (N, H), and (N, G·H) those of gates, one gate after the other in
//! PyTorch's order. What is not there is empty: `mask` (N,), 0 where the step leaves the sequence's state as it was; `keep`, what
//! states are multiplied by on their way into the product, and `kept`, where they go then.
//!
//! A cell that keeps the last gate's product apart finds it in that gate's place, and the input's part in `inner`: so one product
//! meets all gates. The step puts both where they belong; the gradients are left the other way round, and [`exchange`] moves them.

use crate::number::GpuFloat;
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;
use kiln_math::recurrent::{After, Before, Cell, Inner, Slopes};

/// A thread's unit.
#[derive(Clone, Copy)]
struct Unit {
    /// Its place in (N, H).
    i: usize,
    sequence: usize,
    /// Its number among the sequence's.
    unit: usize,
    /// Its place in the first gate, and how far those in the next ones are.
    first: usize,
    hidden: usize,
}

impl Unit {
    /// The thread's, of `count` and of a cell with so many gates.
    #[inline(always)]
    fn of(count: usize, hidden: u32, gates: usize) -> Option<Unit> {
        let i = element();
        if i >= count {
            return None;
        }
        let (sequence, unit, hidden) = ((i as u32 / hidden) as usize, (i as u32 % hidden) as usize, hidden as usize);
        Some(Unit { i, sequence, unit, first: sequence * gates * hidden + unit, hidden })
    }

    /// Its gates.
    #[inline(always)]
    fn gates<T: GpuFloat, const G: usize>(self, get: impl Fn(usize) -> T) -> [T; G] {
        let mut gates = [T::ZERO; G];
        for (g, gate) in gates.iter_mut().enumerate() {
            *gate = get(self.first + g * self.hidden);
        }
        gates
    }

    /// Writes its gates.
    #[inline(always)]
    fn set_gates<T: GpuFloat, const G: usize>(self, to: GlobalMut<T>, gates: [T; G]) {
        for (g, gate) in gates.into_iter().enumerate() {
            to.set(self.first + g * self.hidden, gate);
        }
    }

    /// Its own weights.
    #[inline(always)]
    fn weights<T: GpuFloat, const W: usize>(self, all: Global<T>) -> [T; W] {
        let mut weights = [T::ZERO; W];
        for (w, weight) in weights.iter_mut().enumerate() {
            *weight = all.get(w * self.hidden + self.unit);
        }
        weights
    }

    /// Whether the step leaves its state as it was.
    #[inline(always)]
    fn is_masked(self, mask: Global<u8>) -> bool {
        !mask.is_empty() && mask.get(self.sequence) == 0
    }

    /// A number times what is kept of it.
    #[inline(always)]
    fn kept<T: GpuFloat>(self, x: T, keep: Global<T>) -> T {
        if keep.is_empty() { x } else { x * keep.get(self.i) }
    }
}

parameters! {
    /// What a step's cells read and write.
    pub struct Step<T: DeviceCopy> {
        /// The gates' arguments, then the gates.
        gates: GlobalMut<T>,
        /// The states after the step.
        after: GlobalMut<T>,
        /// What the cell has beside its state.
        inner: GlobalMut<T>,
        /// The states after it, times `keep`.
        kept: GlobalMut<T>,
        /// The states before it.
        before: Global<T>,
        /// The second states before it.
        inner_before: Global<T>,
        /// The units' own weights (W·H,).
        weights: Global<T>,
        keep: Global<T>,
        mask: Global<u8>,
        /// H
        hidden: u32,
        /// Not 0 for the part of the step before the factor's product.
        before_factor: u32,
    }
}

parameters! {
    /// What the gradients of a step's cells read and write; see [`Step`].
    pub struct StepGrad<T: DeviceCopy> {
        /// The gradients of the gates' arguments.
        dgates: GlobalMut<T>,
        /// That of the last gate's argument, of a cell that keeps its product apart.
        dproduct: GlobalMut<T>,
        /// The gradient of the states after the step, then of those before it, but for what comes through the product.
        dh: GlobalMut<T>,
        /// That of the second states.
        dc: GlobalMut<T>,
        /// Those of the units' own weights (W, N, H), of the steps so far.
        dweights: GlobalMut<T>,
        gates: Global<T>,
        before: Global<T>,
        inner_before: Global<T>,
        inner: Global<T>,
        weights: Global<T>,
        /// The gradient of the states as outputs.
        dy: Global<T>,
        /// What came through the product of the step after, where it is still to be multiplied by `keep`; then the gradient of the
        /// factor.
        product: Global<T>,
        keep: Global<T>,
        mask: Global<u8>,
        hidden: u32,
        before_factor: u32,
    }
}

/// A step of a cell.
#[inline(always)]
fn advance<T: GpuFloat, C: Cell<G, W>, const G: usize, const W: usize>(_: C, step: Step<T>) {
    let Step { gates, after, inner, kept, before, inner_before, weights, keep, mask, hidden, before_factor } = step;
    let Some(at) = Unit::of(after.len(), hidden, G) else { return };
    let mut h = before.get(at.i);
    if C::INNER == Inner::Factor && before_factor != 0 {
        let (values, factor) = C::factor(at.gates(|i| gates.get(i)), h);
        at.set_gates::<T, G>(gates, values);
        inner.set(at.i, at.kept(factor, keep));
        return;
    }
    let mut arguments: [T; G] = at.gates(|i| gates.get(i));
    let mut x = match C::INNER {
        Inner::Nothing | Inner::Factor => T::ZERO,
        Inner::State => inner_before.get(at.i),
        Inner::Product => {
            let product = arguments[G - 1];
            arguments[G - 1] = inner.get(at.i);
            product
        }
    };
    if !at.is_masked(mask) {
        let result = C::step(arguments, &Before { h, inner: x, weights: at.weights(weights) });
        (arguments, x, h) = (result.gates, result.inner, result.h);
        at.set_gates(gates, arguments);
    } else if C::INNER == Inner::Product {
        at.set_gates(gates, arguments);
    }
    if matches!(C::INNER, Inner::State | Inner::Product) {
        inner.set(at.i, x);
    }
    after.set(at.i, h);
    if !keep.is_empty() {
        kept.set(at.i, at.kept(h, keep));
    }
}

/// The gradients of a cell's step.
#[inline(always)]
fn retreat<T: GpuFloat, C: Cell<G, W>, const G: usize, const W: usize>(_: C, step: StepGrad<T>) {
    let StepGrad {
        dgates, dproduct, dh, dc, dweights, gates, before, inner_before, inner, weights, dy, product, keep, mask, hidden,
        before_factor,
    } = step;
    let Some(at) = Unit::of(dh.len(), hidden, G) else { return };
    let mut state = dh.get(at.i);
    if C::INNER == Inner::Factor && before_factor != 0 {
        // Of a masked step `product` is 0.
        let (values, slopes) = (at.gates(|i| gates.get(i)), at.gates(|i| dgates.get(i)));
        let factor = at.kept(product.get(at.i), keep);
        let (slopes, through) = C::factor_grad::<T>(values, before.get(at.i), slopes, factor);
        at.set_gates::<T, G>(dgates, slopes);
        dh.set(at.i, state + through);
        return;
    }
    // The whole gradient: what came through the product where that is not in it, and the gradient as an output.
    if !product.is_empty() {
        state = product.get(at.i).mul_add(keep.get(at.i), state);
    }
    if !dy.is_empty() {
        state += dy.get(at.i);
    }
    let mut slopes = Slopes { gates: [T::ZERO; G], inner: T::ZERO, h: state, weights: [T::ZERO; W] };
    if !at.is_masked(mask) {
        let (x, dx) = match C::INNER {
            Inner::State => ((inner_before.get(at.i), inner.get(at.i)), dc.get(at.i)),
            Inner::Product => ((T::ZERO, inner.get(at.i)), T::ZERO),
            Inner::Nothing | Inner::Factor => ((T::ZERO, T::ZERO), T::ZERO),
        };
        let after = After { gates: at.gates(|i| gates.get(i)), inner: x.1, h: T::ZERO };
        let before = Before { h: before.get(at.i), inner: x.0, weights: at.weights(weights) };
        slopes = C::grad(&after, &before, state, dx);
        if C::INNER == Inner::State {
            dc.set(at.i, slopes.inner);
        }
        for (w, slope) in slopes.weights.into_iter().enumerate() {
            let place = w * dh.len() + at.i;
            dweights.set(place, dweights.get(place) + slope);
        }
    }
    if C::INNER == Inner::Product {
        dproduct.set(at.i, slopes.gates[G - 1]);
        slopes.gates[G - 1] = slopes.inner;
    }
    at.set_gates(dgates, slopes.gates);
    dh.set(at.i, slopes.h);
}

kernels! {
    /// Exchanges the last of `count` gates of `gates` (rows, count·H) and `inner` (rows, H).
    #[max_threads = THREADS]
    pub fn exchange<T: GpuFloat>(gates: GlobalMut<T>, inner: GlobalMut<T>, hidden: u32, count: u32) for [f32, f64] {
        let (i, hidden, count) = (element(), hidden as usize, count as usize);
        if i >= inner.len() {
            return;
        }
        let last = i / hidden * count * hidden + (count - 1) * hidden + i % hidden;
        let (gate, other) = (gates.get(last), inner.get(i));
        gates.set(last, other);
        inner.set(i, gate);
    }

    /// The last of what came through the products: dh += product ⊙ keep.
    #[max_threads = THREADS]
    pub fn recurrent_rest<T: GpuFloat>(dh: GlobalMut<T>, product: Global<T>, keep: Global<T>) for [f32, f64] {
        let i = element();
        if i < dh.len() {
            dh.set(i, Real::mul_add(product.get(i), keep.get(i), dh.get(i)));
        }
    }
}

macro_rules! cells {
    ($({ $doc:literal, $cell:ident, $name:ident })+) => {
        $(#[doc = $doc] pub mod $name {
            use super::{Step, StepGrad};
            use crate::number::GpuFloat;
            use crate::place::THREADS;
            use cuda_std::*;
            use kiln_math::recurrent::$cell;

            kernels! {
                /// A step.
                #[name = concat!("recurrent_", stringify!($name))]
                #[max_threads = THREADS]
                pub fn advance<T: GpuFloat>(step: Step<T>) for [f32, f64] {
                    super::advance($cell, step);
                }

                /// Its gradients.
                #[name = concat!("recurrent_grad_", stringify!($name))]
                #[max_threads = THREADS]
                pub fn retreat<T: GpuFloat>(step: StepGrad<T>) for [f32, f64] {
                    super::retreat($cell, step);
                }
            }
        })+

        #[cfg(not(target_arch = "nvptx64"))]
        mod host {
            use super::*;
            use crate::geometry::by_element;
            use kiln_math::RecurrentCell;

            /// The entries of each cell's kernels.
            pub const CELLS: &[Families] = &[$($name::KERNELS),+];

            /// Launches a step of a cell.
            ///
            /// # Errors
            /// The launcher's.
            pub fn forward<T: GpuFloat>(
                launcher: &dyn Launcher,
                cell: RecurrentCell,
                step: Step<T>,
            ) -> Result<(), LaunchError>
            where
                $($name::advance<T>: Kernel),+
            {
                let geometry = by_element(step.after.len());
                match cell {
                    $(RecurrentCell::$cell => $name::advance { step }.launch(launcher, geometry),)+
                }
            }

            /// Launches the gradients of a cell's step.
            ///
            /// # Errors
            /// The launcher's.
            pub fn backward<T: GpuFloat>(
                launcher: &dyn Launcher,
                cell: RecurrentCell,
                step: StepGrad<T>,
            ) -> Result<(), LaunchError>
            where
                $($name::retreat<T>: Kernel),+
            {
                let geometry = by_element(step.dh.len());
                match cell {
                    $(RecurrentCell::$cell => $name::retreat { step }.launch(launcher, geometry),)+
                }
            }
        }
        #[cfg(not(target_arch = "nvptx64"))]
        pub use host::{CELLS, backward, forward};
    };
}
kiln_math::for_each_cell!(cells);
