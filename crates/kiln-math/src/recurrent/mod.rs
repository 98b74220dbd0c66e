//! Recurrent cells: what one unit of one sequence does in one step, and the gradients of that. Kernels run them over all units.
//!
//! A step of a layer of G gates first adds the recurrent product W·h to the input's part of every gate's argument; the cell turns
//! these arguments into gates and the new state. Most cells are that alone. [`Inner`] names what some keep beside their state.
//!
//! To add a cell: a type with an `impl Cell` in the file of its family, and a line in `list.rs`.

mod gru;
mod list;
mod lstm;
mod plain;

pub use gru::*;
pub use list::RecurrentCell;
pub use lstm::*;
pub use plain::*;

use crate::Real;

/// What a step computes beside its state: one number for each unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Inner {
    /// Nothing.
    Nothing,
    /// A second state, which is handed from step to step: an LSTM's cell state.
    State,
    /// The recurrent product of the last gate, which is not added to that gate's argument: the cell combines the two.
    Product,
    /// What the last gate's weight is multiplied by in the place of h. [`Cell::factor`] computes it from the other gates.
    Factor,
}

/// What a unit's step starts from, beside its gates' arguments.
#[derive(Clone, Copy, Debug)]
pub struct Before<R, const W: usize> {
    /// The state h.
    pub h: R,
    /// [`Inner::State`]: the one before the step. [`Inner::Product`]: the last gate's product. [`Inner::Factor`]: the factor. Else 0.
    pub inner: R,
    /// The unit's own weights.
    pub weights: [R; W],
}

/// What a unit's step gives.
#[derive(Clone, Copy, Debug)]
pub struct After<R, const G: usize> {
    /// The gates.
    pub gates: [R; G],
    /// [`Inner::State`]: the one after the step. [`Inner::Product`]: what the cell combined the last gate with. Else not used.
    pub inner: R,
    /// The state h′.
    pub h: R,
}

/// The gradients of a step by what it started from.
#[derive(Clone, Copy, Debug)]
pub struct Slopes<R, const G: usize, const W: usize> {
    /// Of the gates' arguments; of the gates that [`Cell::factor`] computes, of their values.
    pub gates: [R; G],
    /// Of the second state before the step, or of the last gate's product.
    pub inner: R,
    /// Of h, but for what comes through the recurrent product.
    pub h: R,
    /// Of the unit's own weights.
    pub weights: [R; W],
}

/// A cell of G gates and W weights of each unit, which belong to no product.
pub trait Cell<const G: usize, const W: usize>: Copy {
    /// What it computes beside its state.
    const INNER: Inner = Inner::Nothing;

    /// A cell with [`Inner::Factor`]: of the arguments of its gates and h, the gates but for the last one, which is passed on,
    /// and the factor.
    #[inline(always)]
    fn factor<R: Real>(gates: [R; G], h: R) -> ([R; G], R) {
        (gates, h)
    }

    /// The gradients of [`factor`](Self::factor), by the arguments and by h, from the gates, h and the gradients of what it gave.
    #[inline(always)]
    fn factor_grad<R: Real>(gates: [R; G], h: R, slopes: [R; G], factor: R) -> ([R; G], R) {
        let _ = (gates, h);
        (slopes, factor)
    }

    /// A step, from the gates' arguments; of gates that [`factor`](Self::factor) computes, from their values.
    fn step<R: Real>(arguments: [R; G], before: &Before<R, W>) -> After<R, G>;

    /// The gradients of [`step`](Self::step) from what it gave and the gradients of h′ and of the second state after it.
    /// `before.inner` is given of [`Inner::State`] alone.
    fn grad<R: Real>(after: &After<R, G>, before: &Before<R, W>, dh: R, dinner: R) -> Slopes<R, G, W>;
}

/// Code that is generic over the cell: [`RecurrentCell::visit`] runs it for one.
pub trait CellVisitor {
    /// What it gives.
    type Output;
    /// Runs it.
    fn visit<C: Cell<G, W>, const G: usize, const W: usize>(self, cell: C) -> Self::Output;
}

/// s·(1 − s)·dy: the gradient of a sigmoid's argument, from its value.
#[inline(always)]
fn through_sigmoid<R: Real>(s: R, dy: R) -> R {
    s * (R::constant(1.0) - s) * dy
}

/// (1 − t²)·dy: the gradient of a tanh's argument, from its value.
#[inline(always)]
fn through_tanh<R: Real>(t: R, dy: R) -> R {
    (-t).mul_add(t, R::constant(1.0)) * dy
}
