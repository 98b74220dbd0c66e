//! The cells of one step of a recurrent layer over all sequences and units, and their gradients; the products are
//! [`crate::matmul`]'s.
//!
//! A thread has one unit of one sequence. A step's arrays are (N, H), and (N, G·H) those of gates, one gate after the other in
//! PyTorch's order. What is not there is empty: `mask` (N,), 0 where the step leaves the sequence's state as it was; `keep`, what
//! states are multiplied by on their way into the product, and `kept`, where they go then. Formulas: [`kiln_math::recurrent`].

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
    fn put<T: Element + Real>(self, after: GlobalMut<T>, kept: GlobalMut<T>, keep: Global<T>, state: T) {
        after.set(self.i, state);
        if !keep.is_empty() {
            kept.set(self.i, state * keep.get(self.i));
        }
    }

    /// The whole gradient of the state: what the steps after gave, with what came through their product where that is not in
    /// it, and the gradient as an output.
    #[inline(always)]
    fn gather<T: Element + Real>(self, dh: GlobalMut<T>, [dy, product, keep]: [Global<T>; 3]) -> T {
        let mut sum = dh.get(self.i);
        if !product.is_empty() {
            sum = product.get(self.i).mul_add(keep.get(self.i), sum);
        }
        if dy.is_empty() { sum } else { sum + dy.get(self.i) }
    }
}

macro_rules! cells {
    ($($T:ident $simple:ident $lstm:ident $gru:ident $reset:ident $renew:ident $exchange:ident;)+) => { $(
        kernel! {
            /// The plain cell: gates become tanh of themselves, or max(·, 0) where `relu` is not 0, and so does the state.
            #[name = stringify!($simple)]
            #[max_threads = THREADS]
            pub fn $simple(
                gates: GlobalMut<$T>, after: GlobalMut<$T>, kept: GlobalMut<$T>,
                before: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32, relu: u32
            ) {
                let Some(at) = Unit::of(after.len(), hidden, 1) else { return };
                let mut state = before.get(at.i);
                if !at.is_masked(mask) {
                    state = recurrent::simple(relu != 0, gates.get(at.i));
                    gates.set(at.i, state);
                }
                at.put(after, kept, keep, state);
            }
        }

        kernel! {
            /// An LSTM: the arguments of the gates i, f, g, o become the gates; states and cell states before become those after.
            #[name = stringify!($lstm)]
            #[max_threads = THREADS]
            pub fn $lstm(
                gates: GlobalMut<$T>, after: GlobalMut<$T>, inner: GlobalMut<$T>, kept: GlobalMut<$T>,
                before: Global<$T>, inner_before: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32
            ) {
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
        }

        kernel! {
            /// A GRU whose reset gate comes after its product. `gates` hold the arguments of r and z and, in n's place, W·h;
            /// `inner` holds the input's part of n's argument. They become the gates and W·h + b.
            #[name = stringify!($gru)]
            #[max_threads = THREADS]
            pub fn $gru(
                gates: GlobalMut<$T>, after: GlobalMut<$T>, inner: GlobalMut<$T>, kept: GlobalMut<$T>,
                before: Global<$T>, bias: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32
            ) {
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
        }

        kernel! {
            /// The first half of a GRU whose reset gate comes before its product: r, z, and `inner` = r⊙h, times `keep`.
            #[name = stringify!($reset)]
            #[max_threads = THREADS]
            pub fn $reset(
                gates: GlobalMut<$T>, inner: GlobalMut<$T>, before: Global<$T>, keep: Global<$T>, hidden: u32
            ) {
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
        }

        kernel! {
            /// The second half of it: n and the new state.
            #[name = stringify!($renew)]
            #[max_threads = THREADS]
            pub fn $renew(
                gates: GlobalMut<$T>, after: GlobalMut<$T>, kept: GlobalMut<$T>,
                before: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32
            ) {
                let Some(at) = Unit::of(after.len(), hidden, 3) else { return };
                let mut state = before.get(at.i);
                if !at.is_masked(mask) {
                    let n = Real::tanh(gates.get(at.gate(2)));
                    gates.set(at.gate(2), n);
                    state = recurrent::gru_mix(gates.get(at.gate(1)), n, state);
                }
                at.put(after, kept, keep, state);
            }
        }

        kernel! {
            /// Exchanges the third gate of `gates` (rows, 3·H) and `inner` (rows, H): then one product meets all that it must.
            #[name = stringify!($exchange)]
            #[max_threads = THREADS]
            pub fn $exchange(gates: GlobalMut<$T>, inner: GlobalMut<$T>, hidden: u32) {
                let (i, hidden) = (element(), hidden as usize);
                if i >= inner.len() {
                    return;
                }
                let third = i / hidden * 3 * hidden + 2 * hidden + i % hidden;
                let (gate, other) = (gates.get(third), inner.get(i));
                gates.set(third, other);
                inner.set(i, gate);
            }
        }
    )+ };
}
cells! {
    f32 simple_cell_f32 lstm_cell_f32 gru_cell_f32 gru_reset_f32 gru_renew_f32 gru_exchange_f32;
    f64 simple_cell_f64 lstm_cell_f64 gru_cell_f64 gru_reset_f64 gru_renew_f64 gru_exchange_f64;
}

macro_rules! gradients {
    ($($T:ident $simple:ident $lstm:ident $gru:ident $reset:ident $rest:ident;)+) => { $(
        kernel! {
            /// Of the plain cell: the gradient of the gate's argument. `dh` is the gradient of the state after and becomes that of
            /// the state before, but for what comes through the product: here 0, or all of it in a masked step. `product` is
            /// what came through the product of the step after, where it is still to be multiplied by `keep`.
            #[name = stringify!($simple)]
            #[max_threads = THREADS]
            pub fn $simple(
                dgates: GlobalMut<$T>, dh: GlobalMut<$T>, gates: Global<$T>,
                dy: Global<$T>, product: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32, relu: u32
            ) {
                let Some(at) = Unit::of(dh.len(), hidden, 1) else { return };
                let (mut state, mut slope) = (at.gather(dh, [dy, product, keep]), 0.0);
                if !at.is_masked(mask) {
                    slope = recurrent::simple_grad(relu != 0, gates.get(at.i), state);
                    state = 0.0;
                }
                dgates.set(at.i, slope);
                dh.set(at.i, state);
            }
        }

        kernel! {
            /// Of an LSTM; `dc` is the gradient of the cell state after and becomes that of the one before.
            #[name = stringify!($lstm)]
            #[max_threads = THREADS]
            pub fn $lstm(
                dgates: GlobalMut<$T>, dh: GlobalMut<$T>, dc: GlobalMut<$T>,
                gates: Global<$T>, inner_before: Global<$T>, inner: Global<$T>,
                dy: Global<$T>, product: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32
            ) {
                let Some(at) = Unit::of(dh.len(), hidden, 4) else { return };
                let (mut state, mut slopes) = (at.gather(dh, [dy, product, keep]), [0.0; 4]);
                if !at.is_masked(mask) {
                    let values =
                        [gates.get(at.gate(0)), gates.get(at.gate(1)), gates.get(at.gate(2)), gates.get(at.gate(3))];
                    let (before, after) = (inner_before.get(at.i), inner.get(at.i));
                    let cell;
                    (slopes, cell) = recurrent::lstm_grad(values, before, after, state, dc.get(at.i));
                    dc.set(at.i, cell);
                    state = 0.0;
                }
                let [i, f, g, o] = slopes;
                dgates.set(at.gate(0), i);
                dgates.set(at.gate(1), f);
                dgates.set(at.gate(2), g);
                dgates.set(at.gate(3), o);
                dh.set(at.i, state);
            }
        }

        kernel! {
            /// Of a GRU. Of a reset gate that comes after its product all of it: in n's place of `dgates` is the gradient of W·h + b,
            /// and in `dinner` that of n's argument, so that one product meets all that was multiplied. Of one that comes before,
            /// where `dinner` is empty, the first half: the gradients of z's and n's arguments.
            #[name = stringify!($gru)]
            #[max_threads = THREADS]
            pub fn $gru(
                dgates: GlobalMut<$T>, dinner: GlobalMut<$T>, dh: GlobalMut<$T>,
                gates: Global<$T>, before: Global<$T>, inner: Global<$T>,
                dy: Global<$T>, product: Global<$T>, keep: Global<$T>, mask: Global<u8>, hidden: u32
            ) {
                let Some(at) = Unit::of(dh.len(), hidden, 3) else { return };
                let (mut state, masked) = (at.gather(dh, [dy, product, keep]), at.is_masked(mask));
                let (mut of_r, mut of_z, mut of_n, mut of_product) = (0.0, 0.0, 0.0, 0.0);
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
        }

        kernel! {
            /// The second half of a GRU whose reset gate comes before its product, from the gradient of r⊙h, `product`: 0 where a
            /// step is masked.
            #[name = stringify!($reset)]
            #[max_threads = THREADS]
            pub fn $reset(
                dgates: GlobalMut<$T>, dh: GlobalMut<$T>,
                gates: Global<$T>, before: Global<$T>, product: Global<$T>, keep: Global<$T>, hidden: u32
            ) {
                let Some(at) = Unit::of(dh.len(), hidden, 3) else { return };
                let mut slope = product.get(at.i);
                if !keep.is_empty() {
                    slope *= keep.get(at.i);
                }
                let (of_r, through) = recurrent::gru_reset_grad(gates.get(at.gate(0)), before.get(at.i), slope);
                dgates.set(at.gate(0), of_r);
                dh.set(at.i, dh.get(at.i) + through);
            }
        }

        kernel! {
            /// The last of what came through the products: dh += product ⊙ keep.
            #[name = stringify!($rest)]
            #[max_threads = THREADS]
            pub fn $rest(dh: GlobalMut<$T>, product: Global<$T>, keep: Global<$T>) {
                let i = element();
                if i < dh.len() {
                    dh.set(i, Real::mul_add(product.get(i), keep.get(i), dh.get(i)));
                }
            }
        }
    )+ };
}
gradients! {
    f32 simple_cell_grad_f32 lstm_cell_grad_f32 gru_cell_grad_f32 gru_reset_grad_f32 recurrent_rest_f32;
    f64 simple_cell_grad_f64 lstm_cell_grad_f64 gru_cell_grad_f64 gru_reset_grad_f64 recurrent_rest_f64;
}
