//! Steps in another order: those that do not count first.

use kiln_autograd::Var;
use kiln_tensor::{DType, Order, Result, Tensor};

/// The order of steps in which those that do not count come first and the others follow as they were. So the last step of every sequence
/// is at the same place, and places that are one apart are steps one after the other, which windows and ALiBi go by.
pub(super) struct Aligned {
    /// i64 (N, T): which step comes to each place.
    steps: Tensor,
    /// bool (N, T): which places count.
    pub(super) mask: Tensor,
}

impl Aligned {
    /// The order for a mask, bool (N, T).
    pub(super) fn new(mask: &Tensor) -> Result<Self> {
        let (mask, steps) = mask.to_dtype(DType::I64)?.sort_with_positions(1, Order::Ascending)?;
        Ok(Aligned { steps, mask: mask.to_dtype(DType::Bool)? })
    }

    /// x (N, T, …) in this order.
    pub(super) fn of(&self, x: &Var) -> Result<Var> {
        picked(x, &self.steps)
    }

    /// x (N, T, …), which is in this order, as it was before.
    pub(super) fn undone(&self, x: &Var) -> Result<Var> {
        picked(x, &self.steps.argsort(1, Order::Ascending)?)
    }
}

/// Of each sequence of x (N, T, …) the steps of an index, i64 (N, T).
fn picked(x: &Var, index: &Tensor) -> Result<Var> {
    let &[batch, steps, ..] = x.dims() else { return Ok(x.clone()) };
    let first = Tensor::arange(batch, x.device())?.mul_scalar(steps as f64)?.unsqueeze(1)?;
    let rows = index.add(&first)?.reshape([batch * steps])?;
    let flat = [&[batch * steps], &x.dims()[2..]].concat();
    x.reshape(&flat[..])?.index_select(0, &rows)?.reshape(*x.shape())
}
