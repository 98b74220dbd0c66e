//! Selection: by a mask, by indices.

use crate::{Backward, Function, Var};
use kiln_tensor::{IntoAxis, Result, Shape, Tensor, axis_index};

/// y = condition ? a : b; each side gets dy where it was chosen.
struct Select {
    condition: Tensor,
    a: Shape,
    b: Shape,
}

impl Function for Select {
    fn name(&self) -> &'static str {
        "select"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let zero = Var::constant(Tensor::zeros((), dy.dtype(), dy.device())?);
        if pass.needs(0) {
            pass.accumulate(0, Var::select(&self.condition, &dy, &zero)?.sum_to(&self.a)?)?;
        }
        if pass.needs(1) {
            pass.accumulate(1, Var::select(&self.condition, &zero, &dy)?.sum_to(&self.b)?)?;
        }
        Ok(())
    }
}

/// y = x at indices of an axis; dx adds dy up at them.
struct IndexSelect {
    axis: usize,
    index: Tensor,
    shape: Shape,
}

impl Function for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.index_add(self.axis, &self.index, self.shape)?)
    }
}

/// The adjoint of index_select: y is zeros with x added at indices of an axis; dx is dy there.
struct IndexAdd {
    axis: usize,
    index: Tensor,
}

impl Function for IndexAdd {
    fn name(&self) -> &'static str {
        "index_add"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.index_select(self.axis, &self.index)?)
    }
}

impl Var {
    /// `a` where the condition (bool) holds, else `b`; all three broadcast.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes or devices that differ.
    pub fn select(condition: &Tensor, a: &Var, b: &Var) -> Result<Var> {
        let y = Tensor::select(condition, a.tensor(), b.tensor())?;
        let y = Var::record(&[a, b], y, |_| Select { condition: condition.clone(), a: *a.shape(), b: *b.shape() });
        let shape = *y.shape();
        y.moved_from_all(
            &[a, b],
            |position, squash| {
                let seen = squash.broadcast([a, b][position].shape(), &shape)?;
                // A softmax must be chosen as a whole.
                seen.if_untouched(|axis| {
                    let leading = shape.rank() - condition.rank();
                    axis >= leading && condition.dims()[axis - leading] > 1
                })
            },
            |logits| Var::select(condition, logits[0], logits[1]),
        )
    }

    /// The elements at `index` (i64, one axis) of `axis`: rows of an embedding, say.
    ///
    /// # Errors
    /// An axis or an index out of range.
    pub fn index_select(&self, axis: impl IntoAxis, index: &Tensor) -> Result<Var> {
        let axis = axis_index("index_select", axis, self.shape())?;
        let y = self.tensor().index_select(axis, index)?;
        let y = Var::record(&[self], y, |_| IndexSelect { axis, index: index.clone(), shape: *self.shape() });
        y.moved_from(
            self,
            |squash| squash.if_untouched(|softmax| softmax == axis),
            |logits| logits.index_select(axis, index),
        )
    }

    /// Zeros of `shape` with this added at `index` of `axis`: the adjoint of [`Var::index_select`]. Equal indices add up
    /// in order.
    ///
    /// # Errors
    /// Shapes that do not fit, an axis or an index out of range.
    pub fn index_add(&self, axis: impl IntoAxis, index: &Tensor, shape: Shape) -> Result<Var> {
        let axis = axis_index("index_add", axis, &shape)?;
        let mut y = Tensor::zeros(shape, self.dtype(), self.device())?;
        y.scatter_add(axis, index, self.tensor())?;
        Ok(Var::record(&[self], y, |_| IndexAdd { axis, index: index.clone() }))
    }
}
