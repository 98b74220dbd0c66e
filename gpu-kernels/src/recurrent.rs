//! The cells of one step of a recurrent layer over all sequences and units, and their gradients; the products are
//! [`crate::matmul`]'s.
//!
//! A thread has one unit of one sequence. A step's arrays are (N, H), and (N, G·H) those of gates, one gate after the other in
//! PyTorch's order. What is not there is empty: `mask` (N,), 0 where the step leaves the sequence's state as it was; `keep`, what
//! states are multiplied by on their way into the product, and `kept`, where they go then. Formulas: [`kiln_math::recurrent`].

use crate::number::GpuFloat;
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::{Real, recurrent};

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

    /// Its place in gate `g`.
    #[inline(always)]
    fn gate(self, g: usize) -> usize {
        self.first + g * self.hidden
    }

    /// Whether the step leaves its state as it was.
    #[inline(always)]
    fn is_masked(self, mask: Global<u8>) -> bool {
        !mask.is_empty() && mask.get(self.sequence) == 0
    }

    /// The state, and that times `keep` where there is such a thing.
    #[inline(always)]
    fn put<T: GpuFloat>(self, after: GlobalMut<T>, kept: GlobalMut<T>, keep: Global<T>, state: T) {
        after.set(self.i, state);
        if !keep.is_empty() {
            kept.set(self.i, state * keep.get(self.i));
        }
    }

    /// The whole gradient of the state: what the steps after gave, with what came through their product where that is not in
    /// it, and the gradient as an output.
    #[inline(always)]
    fn gather<T: GpuFloat>(self, dh: GlobalMut<T>, [dy, product, keep]: [Global<T>; 3]) -> T {
        let mut sum = dh.get(self.i);
        if !product.is_empty() {
            sum = product.get(self.i).mul_add(keep.get(self.i), sum);
        }
        if dy.is_empty() { sum } else { sum + dy.get(self.i) }
    }
}

parameters! {
    /// What a step's cells read and write.
    pub struct Step<T: DeviceCopy> {
        /// The gates' arguments, then the gates.
        gates: GlobalMut<T>,
        /// The states after the step.
        after: GlobalMut<T>,
        /// The cell states of an LSTM after it; of a GRU what is kept for its gradient.
        inner: GlobalMut<T>,
        /// The states after it, times `keep`.
        kept: GlobalMut<T>,
        /// The states before it.
        before: Global<T>,
        /// The cell states before it.
        inner_before: Global<T>,
        /// The bias of a GRU's product (H,).
        bias: Global<T>,
        keep: Global<T>,
        mask: Global<u8>,
        /// H
        hidden: u32,
        /// Not 0 where a plain cell has max(·, 0).
        relu: u32,
    }
}

parameters! {
    /// What the gradients of a step's cells read and write; see [`Step`].
    pub struct Slopes<T: DeviceCopy> {
        /// The gradients of the gates' arguments.
        dgates: GlobalMut<T>,
        /// That of n's argument where a GRU's reset gate comes after its product.
        dinner: GlobalMut<T>,
        /// The gradient of the states after the step, then of those before it.
        dh: GlobalMut<T>,
        /// That of the cell states.
        dc: GlobalMut<T>,
        gates: Global<T>,
        before: Global<T>,
        inner_before: Global<T>,
        inner: Global<T>,
        /// The gradient of the states as outputs.
        dy: Global<T>,
        /// What came through the product of the step after, where it is still to be multiplied by `keep`.
        product: Global<T>,
        keep: Global<T>,
        mask: Global<u8>,
        hidden: u32,
        relu: u32,
    }
}

kernels! {
    /// The plain cell: gates become tanh of themselves, or max(·, 0) where `relu` is not 0, and so does the state.
    #[max_threads = THREADS]
    pub fn simple_cell<T: GpuFloat>(step: Step<T>) for [f32, f64] {
        let Step { gates, after, kept, before, keep, mask, hidden, relu, .. } = step;
        let Some(at) = Unit::of(after.len(), hidden, 1) else { return };
        let mut state = before.get(at.i);
        if !at.is_masked(mask) {
            state = recurrent::simple(relu != 0, gates.get(at.i));
            gates.set(at.i, state);
        }
        at.put(after, kept, keep, state);
    }

    /// An LSTM: the arguments of the gates i, f, g, o become the gates; states and cell states before become those after.
    #[max_threads = THREADS]
    pub fn lstm_cell<T: GpuFloat>(step: Step<T>) for [f32, f64] {
        let Step { gates, after, inner, kept, before, inner_before, keep, mask, hidden, .. } = step;
        let Some(at) = Unit::of(after.len(), hidden, 4) else { return };
        let (mut state, mut cell) = (before.get(at.i), inner_before.get(at.i));
        if !at.is_masked(mask) {
            let arguments =
                [gates.get(at.gate(0)), gates.get(at.gate(1)), gates.get(at.gate(2)), gates.get(at.gate(3))];
            let values;
            (values, cell, state) = recurrent::lstm(arguments, cell);
            let [i, f, g, o] = values;
            gates.set(at.gate(0), i);
            gates.set(at.gate(1), f);
            gates.set(at.gate(2), g);
            gates.set(at.gate(3), o);
        }
        inner.set(at.i, cell);
        at.put(after, kept, keep, state);
    }

    /// A GRU whose reset gate comes after its product. `gates` hold the arguments of r and z and, in n's place, W·h;
    /// `inner` holds the input's part of n's argument. They become the gates and W·h + b.
    #[max_threads = THREADS]
    pub fn gru_cell<T: GpuFloat>(step: Step<T>) for [f32, f64] {
        let Step { gates, after, inner, kept, before, bias, keep, mask, hidden, .. } = step;
        let Some(at) = Unit::of(after.len(), hidden, 3) else { return };
        let mut state = before.get(at.i);
        let (mut product, mut new) = (gates.get(at.gate(2)), inner.get(at.i));
        if !at.is_masked(mask) {
            if !bias.is_empty() {
                product += bias.get(at.unit);
            }
            let values;
            (values, state) = recurrent::gru([gates.get(at.gate(0)), gates.get(at.gate(1)), new], product, state);
            let [r, z, n] = values;
            gates.set(at.gate(0), r);
            gates.set(at.gate(1), z);
            new = n;
        }
        gates.set(at.gate(2), new);
        inner.set(at.i, product);
        at.put(after, kept, keep, state);
    }

    /// The first half of a GRU whose reset gate comes before its product: r, z, and `inner` = r⊙h, times `keep`.
    #[max_threads = THREADS]
    pub fn gru_reset<T: GpuFloat>(step: Step<T>) for [f32, f64] {
        let Step { gates, inner, before, keep, hidden, .. } = step;
        let Some(at) = Unit::of(inner.len(), hidden, 3) else { return };
        let r = Real::sigmoid(gates.get(at.gate(0)));
        gates.set(at.gate(0), r);
        gates.set(at.gate(1), Real::sigmoid(gates.get(at.gate(1))));
        let mut factor = r * before.get(at.i);
        if !keep.is_empty() {
            factor *= keep.get(at.i);
        }
        inner.set(at.i, factor);
    }

    /// The second half of it: n and the new state.
    #[max_threads = THREADS]
    pub fn gru_renew<T: GpuFloat>(step: Step<T>) for [f32, f64] {
        let Step { gates, after, kept, before, keep, mask, hidden, .. } = step;
        let Some(at) = Unit::of(after.len(), hidden, 3) else { return };
        let mut state = before.get(at.i);
        if !at.is_masked(mask) {
            let n = Real::tanh(gates.get(at.gate(2)));
            gates.set(at.gate(2), n);
            state = recurrent::gru_mix(gates.get(at.gate(1)), n, state);
        }
        at.put(after, kept, keep, state);
    }

    /// Exchanges the third gate of `gates` (rows, 3·H) and `inner` (rows, H): then one product meets all that it must.
    #[max_threads = THREADS]
    pub fn gru_exchange<T: GpuFloat>(gates: GlobalMut<T>, inner: GlobalMut<T>, hidden: u32) for [f32, f64] {
        let (i, hidden) = (element(), hidden as usize);
        if i >= inner.len() {
            return;
        }
        let third = i / hidden * 3 * hidden + 2 * hidden + i % hidden;
        let (gate, other) = (gates.get(third), inner.get(i));
        gates.set(third, other);
        inner.set(i, gate);
    }

    /// Of the plain cell: the gradient of the gate's argument. `dh` is the gradient of the state after and becomes that of
    /// the state before, but for what comes through the product: here 0, or all of it in a masked step. `product` is
    /// what came through the product of the step after, where it is still to be multiplied by `keep`.
    #[max_threads = THREADS]
    pub fn simple_cell_grad<T: GpuFloat>(slopes: Slopes<T>) for [f32, f64] {
        let Slopes { dgates, dh, gates, dy, product, keep, mask, hidden, relu, .. } = slopes;
        let Some(at) = Unit::of(dh.len(), hidden, 1) else { return };
        let (mut state, mut slope) = (at.gather(dh, [dy, product, keep]), T::ZERO);
        if !at.is_masked(mask) {
            slope = recurrent::simple_grad(relu != 0, gates.get(at.i), state);
            state = T::ZERO;
        }
        dgates.set(at.i, slope);
        dh.set(at.i, state);
    }

    /// Of an LSTM; `dc` is the gradient of the cell state after and becomes that of the one before.
    #[max_threads = THREADS]
    pub fn lstm_cell_grad<T: GpuFloat>(slopes: Slopes<T>) for [f32, f64] {
        let Slopes { dgates, dh, dc, gates, inner_before, inner, dy, product, keep, mask, hidden, .. } = slopes;
        let Some(at) = Unit::of(dh.len(), hidden, 4) else { return };
        let (mut state, mut slopes) = (at.gather(dh, [dy, product, keep]), [T::ZERO; 4]);
        if !at.is_masked(mask) {
            let values =
                [gates.get(at.gate(0)), gates.get(at.gate(1)), gates.get(at.gate(2)), gates.get(at.gate(3))];
            let (before, after) = (inner_before.get(at.i), inner.get(at.i));
            let cell;
            (slopes, cell) = recurrent::lstm_grad(values, before, after, state, dc.get(at.i));
            dc.set(at.i, cell);
            state = T::ZERO;
        }
        let [i, f, g, o] = slopes;
        dgates.set(at.gate(0), i);
        dgates.set(at.gate(1), f);
        dgates.set(at.gate(2), g);
        dgates.set(at.gate(3), o);
        dh.set(at.i, state);
    }

    /// Of a GRU. Of a reset gate that comes after its product all of it: in n's place of `dgates` is the gradient of W·h + b,
    /// and in `dinner` that of n's argument, so that one product meets all that was multiplied. Of one that comes before,
    /// where `dinner` is empty, the first half: the gradients of z's and n's arguments.
    #[max_threads = THREADS]
    pub fn gru_cell_grad<T: GpuFloat>(slopes: Slopes<T>) for [f32, f64] {
        let Slopes { dgates, dinner, dh, gates, before, inner, dy, product, keep, mask, hidden, .. } = slopes;
        let Some(at) = Unit::of(dh.len(), hidden, 3) else { return };
        let (mut state, masked) = (at.gather(dh, [dy, product, keep]), at.is_masked(mask));
        let (mut of_r, mut of_z, mut of_n, mut of_product) = (T::ZERO, T::ZERO, T::ZERO, T::ZERO);
        if !masked {
            let (z, n) = (gates.get(at.gate(1)), gates.get(at.gate(2)));
            (of_z, of_n, state) = recurrent::gru_mix_grad(z, n, before.get(at.i), state);
            if !dinner.is_empty() {
                (of_r, of_product) = recurrent::gru_reset_grad(gates.get(at.gate(0)), inner.get(at.i), of_n);
            }
        }
        dgates.set(at.gate(0), of_r);
        dgates.set(at.gate(1), of_z);
        if dinner.is_empty() {
            dgates.set(at.gate(2), of_n);
        } else {
            dgates.set(at.gate(2), of_product);
            dinner.set(at.i, of_n);
        }
        dh.set(at.i, state);
    }

    /// The second half of a GRU whose reset gate comes before its product, from the gradient of r⊙h, `product`: 0 where a
    /// step is masked.
    #[max_threads = THREADS]
    pub fn gru_reset_grad<T: GpuFloat>(slopes: Slopes<T>) for [f32, f64] {
        let Slopes { dgates, dh, gates, before, product, keep, hidden, .. } = slopes;
        let Some(at) = Unit::of(dh.len(), hidden, 3) else { return };
        let mut slope = product.get(at.i);
        if !keep.is_empty() {
            slope *= keep.get(at.i);
        }
        let (of_r, through) = recurrent::gru_reset_grad(gates.get(at.gate(0)), before.get(at.i), slope);
        dgates.set(at.gate(0), of_r);
        dh.set(at.i, dh.get(at.i) + through);
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
