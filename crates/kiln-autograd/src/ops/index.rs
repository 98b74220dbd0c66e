//! Selection: by a mask, by indices.

use crate::{Backward, Function, Var};
use kiln_tensor::derived::pick::last_ones;
use kiln_tensor::{Arithmetic, DType, IntoAxis, Result, ScatterOp, Shape, Tensor, axis_index};

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

/// Indices along an axis: of whole rows (one axis), or one for each element.
#[derive(Clone)]
struct Index {
    rows: bool,
    axis: usize,
    of: Tensor,
}

impl Index {
    /// x there.
    fn pick(&self, x: &Var) -> Result<Var> {
        if self.rows { x.index_select(self.axis, &self.of) } else { x.gather(self.axis, &self.of) }
    }

    /// x with what a source puts there.
    fn put(&self, x: Var, op: ScatterOp, source: &Var) -> Result<Var> {
        x.scattered(op, self.clone(), source)
    }

    fn put_tensor(&self, x: Tensor, op: ScatterOp, source: &Tensor) -> Result<Tensor> {
        if self.rows {
            x.put_rows(op, self.axis, &self.of, source)
        } else {
            x.put_elements(op, self.axis, &self.of, source)
        }
    }
}

/// y = x at indices; dx adds dy up at them.
struct Pick {
    index: Index,
    shape: Shape,
}

impl Function for Pick {
    fn name(&self) -> &'static str {
        if self.index.rows { "index_select" } else { "gather" }
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let zeros = Var::constant(Tensor::zeros(self.shape, dy.dtype(), dy.device())?);
        pass.accumulate(0, self.index.put(zeros, ScatterOp::Add, &dy)?)
    }
}

/// y is x with a source put at indices, or added: of a sum both get dy, of elements that are replaced the last ones that were put.
struct Put {
    add: bool,
    index: Index,
    source: Shape,
}

impl Function for Put {
    fn name(&self) -> &'static str {
        if self.index.rows { "index_put" } else { "scatter" }
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if pass.needs(1) {
            let mut there = self.index.pick(&dy)?;
            if !self.add {
                let zero = Var::constant(Tensor::zeros((), dy.dtype(), dy.device())?);
                let Index { rows, axis, ref of } = self.index;
                let stays = last_ones(rows, axis, of, &self.source, dy.shape())?;
                there = Var::select(&stays, &there, &zero)?;
            }
            pass.accumulate(1, there)?;
        }
        if pass.needs(0) {
            let dx = if self.add {
                dy
            } else {
                let zeros = Var::constant(Tensor::zeros(self.source, dy.dtype(), dy.device())?);
                self.index.put(dy, ScatterOp::Set, &zeros)?
            };
            pass.accumulate(0, dx)?;
        }
        Ok(())
    }
}

/// y is x, at indices the extremum of what was there and of the source; equal ones get dy in equal parts.
struct Extrema {
    index: Index,
    x: Tensor,
    source: Tensor,
    y: Tensor,
}

impl Function for Extrema {
    fn name(&self) -> &'static str {
        "scatter_reduce"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let computed = dy.dtype().computed_in();
        let (own, there) = (self.x.eq(&self.y)?, self.index.pick(&Var::constant(self.y.clone()))?);
        let put = self.source.eq(there.tensor())?;
        let count = self.index.put_tensor(own.to_dtype(computed)?, ScatterOp::Add, &put.to_dtype(computed)?)?;
        // Of NaN nothing is equal: there is no gradient, and none is divided by 0.
        let count = count.maximum(&Tensor::ones((), computed, count.device())?)?;
        let share = dy.in_wide(|dy| dy.div(&Var::constant(count.clone())))?;
        let zero = Var::constant(Tensor::zeros((), dy.dtype(), dy.device())?);
        if pass.needs(0) {
            pass.accumulate(0, Var::select(&own, &share, &zero)?)?;
        }
        if pass.needs(1) {
            pass.accumulate(1, Var::select(&put, &self.index.pick(&share)?, &zero)?)?;
        }
        Ok(())
    }
}

/// y is x, at indices the product of what was there and of the source; each gets dy times the product of the others.
struct Products {
    index: Index,
    x: Tensor,
    source: Tensor,
}

impl Function for Products {
    fn name(&self) -> &'static str {
        "scatter_reduce"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let dtype = dy.dtype();
        let (x, source) = (pass.input(0, &self.x).widened()?, pass.input(1, &self.source).widened()?);
        let (zero, one) = (Tensor::zeros((), x.dtype(), x.device())?, Tensor::ones((), x.dtype(), x.device())?);
        let (own, put) = (x.tensor().eq(&zero)?, source.tensor().eq(&zero)?);
        let zeros = self.index.put_tensor(own.to_dtype(DType::I64)?, ScatterOp::Add, &put.to_dtype(DType::I64)?)?;
        // The product of all that is not 0, divided by one factor, is that of the others: where no other one is 0.
        let one = Var::constant(one);
        let (x, source) = (Var::select(&own, &one, &x)?, Var::select(&put, &one, &source)?);
        let product = self.index.put(x.clone(), ScatterOp::Mul, &source)?;
        let scaled = dy.widened()?.mul(&product)?;
        let alone = |is_zero: &Tensor, zeros: &Tensor| zeros.eq(&is_zero.to_dtype(DType::I64)?);
        let zero = Var::constant(zero);
        if pass.needs(0) {
            let dx = Var::select(&alone(&own, &zeros)?, &scaled.div(&x)?, &zero)?;
            pass.accumulate(0, dx.to_dtype(dtype)?)?;
        }
        if pass.needs(1) {
            let zeros = self.index.pick(&Var::constant(zeros))?;
            let gradient = self.index.pick(&scaled)?.div(&source)?;
            let gradient = Var::select(&alone(&put, zeros.tensor())?, &gradient, &zero)?;
            pass.accumulate(1, gradient.to_dtype(dtype)?)?;
        }
        Ok(())
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

    /// The elements at `index` (integers, one axis) of `axis`: rows of an embedding, say.
    ///
    /// # Errors
    /// An axis or an index out of range.
    pub fn index_select(&self, axis: impl IntoAxis, index: &Tensor) -> Result<Var> {
        let axis = axis_index("index_select", axis, self.shape())?;
        let y = self.tensor().index_select(axis, index)?;
        let shape = *self.shape();
        let y = Var::record(&[self], y, |_| Pick { index: Index { rows: true, axis, of: index.clone() }, shape });
        y.moved_from(
            self,
            |squash| squash.if_untouched(|softmax| softmax == axis),
            |logits| logits.index_select(axis, index),
        )
    }

    /// The elements at `index` (integers, as many axes as this) along `axis`: y\[i, j\] = x\[index\[i, j\], j\] for axis 0. See
    /// [`Tensor::gather`].
    ///
    /// # Errors
    /// As [`Tensor::gather`].
    pub fn gather(&self, axis: impl IntoAxis, index: &Tensor) -> Result<Var> {
        let axis = axis_index("gather", axis, self.shape())?;
        let y = self.tensor().gather(axis, index)?;
        let shape = *self.shape();
        let y = Var::record(&[self], y, |_| Pick { index: Index { rows: false, axis, of: index.clone() }, shape });
        y.moved_from(self, |squash| squash.if_untouched(|_| true), |logits| logits.gather(axis, index))
    }

    /// The elements at `positions` along `axis`, which are `values`: what sorting, order statistics and cumulative extrema choose.
    pub(super) fn chosen_from(&self, axis: usize, values: Tensor, positions: &Tensor) -> Var {
        let index = || Index { rows: false, axis, of: positions.clone() };
        Var::record(&[self], values, |_| Pick { index: index(), shape: *self.shape() })
    }

    /// This with a source put at indices.
    fn scattered(self, op: ScatterOp, index: Index, source: &Var) -> Result<Var> {
        // What a gradient of a sum does not need is written in place, where nobody else has it.
        let keeps = self.requires_grad() || source.requires_grad();
        let kept = (keeps && !matches!(op, ScatterOp::Set | ScatterOp::Add)).then(|| self.tensor().clone());
        let (tensor, node) = self.into_parts();
        let y = index.put_tensor(tensor, op, source.tensor())?;
        let x = Var::with_node(y.clone(), node);
        let inputs = [&x, source];
        let Some(kept) = kept else {
            let add = op == ScatterOp::Add;
            return Ok(Var::record(&inputs, y, |_| Put { add, index, source: *source.shape() }));
        };
        let source = source.tensor().clone();
        Ok(match op {
            ScatterOp::Mul => Var::record(&inputs, y, |_| Products { index, x: kept, source }),
            _ => Var::record(&inputs, y, |y| Extrema { index, x: kept, source, y: y.clone() }),
        })
    }

    /// As [`Arithmetic::put_rows`] and [`Arithmetic::put_elements`].
    pub(super) fn scattered_to(
        self,
        rows: bool,
        op: ScatterOp,
        axis: usize,
        index: &Tensor,
        source: &Var,
    ) -> Result<Var> {
        self.scattered(op, Index { rows, axis, of: index.clone() }, source)
    }
}
