//! Views and copies: reshape, permute, slice, broadcast, concat, and conversion of dtype.

use crate::{Backward, Function, Squash, Var};
use kiln_tensor::derived::parts::fold_windows;
use kiln_tensor::{Arithmetic, Cut, DType, Error, IntoAxis, IntoShape, Result, Shape, Tensor, axis_index};
use std::ops::Range;

/// y holds x's elements in another shape; dx is dy in x's.
struct Reshape(Shape);

impl Function for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.reshape(self.0)?)
    }
}

/// Axis i of y is axis order[i] of x; dx takes them back.
struct Permute(Vec<usize>);

impl Function for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let mut inverse = vec![0; self.0.len()];
        for (to, &from) in self.0.iter().enumerate() {
            inverse[from] = to;
        }
        pass.accumulate(0, dy.permute(&inverse)?)
    }
}

/// y repeats x along axes; dx is dy summed over them.
struct BroadcastTo(Shape);

impl Function for BroadcastTo {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.sum_to(&self.0)?)
    }
}

/// y is x summed over the axes that broadcasting would stretch; dx repeats dy.
struct SumTo(Shape);

impl Function for SumTo {
    fn name(&self) -> &'static str {
        "sum_to"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.broadcast_to(self.0)?)
    }
}

/// y is x at a range of an axis; dx is zeros of x's shape with dy in that part.
struct Slice {
    axis: usize,
    range: Range<usize>,
    step: isize,
    shape: Shape,
}

impl Function for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.embed_by(self.axis, self.range.clone(), self.step, self.shape)?)
    }
}

/// The adjoint of a slice: y is zeros but for x at a range of an axis; dx is that part of dy, summed over the axes along which
/// x was stretched.
struct Embed {
    axis: usize,
    range: Range<usize>,
    step: isize,
    shape: Shape,
}

impl Function for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.slice_by(self.axis, self.range.clone(), self.step)?.sum_to(&self.shape)?)
    }
}

/// y is x, of which a part became the value; dx is dy without that part, the value's gradient is the part.
struct PutPart {
    cuts: Vec<Cut>,
    value: Shape,
}

impl Function for PutPart {
    fn name(&self) -> &'static str {
        "put"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        if pass.needs(1) {
            let mut part = dy.clone();
            for Cut { axis, range, step } in &self.cuts {
                part = part.slice_by(*axis, range.0..range.1, *step)?;
            }
            pass.accumulate(1, part)?;
        }
        if pass.needs(0) {
            let zeros = Var::constant(Tensor::zeros(self.value, dy.dtype(), dy.device())?);
            pass.accumulate(0, dy.put_part(&self.cuts, &zeros)?)?;
        }
        Ok(())
    }
}

/// y are the windows of an axis of x; dx adds dy up where they are.
struct Windows {
    axis: usize,
    step: usize,
    dilation: usize,
    shape: Shape,
}

impl Function for Windows {
    fn name(&self) -> &'static str {
        "unfold"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, fold_windows(&dy, self.axis, self.step, self.dilation, &self.shape)?)
    }
}

/// y is the inputs one after the other along an axis; each gets its part of dy.
struct Concat {
    axis: usize,
    sizes: Vec<usize>,
}

impl Function for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let mut start = 0;
        for (position, &size) in self.sizes.iter().enumerate() {
            if pass.needs(position) {
                pass.accumulate(position, dy.slice(self.axis, start..start + size)?)?;
            }
            start += size;
        }
        Ok(())
    }
}

/// y is x in another dtype; dx is dy in x's.
struct ToDType(DType);

impl Function for ToDType {
    fn name(&self) -> &'static str {
        "to_dtype"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        pass.accumulate(0, dy.to_dtype(self.0)?)
    }
}

impl Var {
    /// `y`, these elements in another shape.
    #[inline]
    fn reshaped(&self, y: Tensor) -> Result<Var> {
        let shape = *y.shape();
        let y = Var::record(&[self], y, |_| Reshape(*self.shape()));
        y.moved_from(self, |squash| squash.reshaped(self.shape(), &shape), |logits| logits.reshape(shape))
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// A shape with another number of elements.
    pub fn reshape(&self, shape: impl IntoShape) -> Result<Var> {
        self.reshaped(self.tensor().reshape(shape)?)
    }

    /// The axes from `start` on as one: (N, C, H, W) flattened from 1 is (N, C·H·W).
    ///
    /// # Errors
    /// An axis out of range.
    pub fn flatten(&self, start: impl IntoAxis) -> Result<Var> {
        self.reshaped(self.tensor().flatten(start)?)
    }

    /// A new axis of size 1 at `axis`, 0 to the rank; −1 is after the last axis.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn unsqueeze(&self, axis: impl IntoAxis) -> Result<Var> {
        self.reshaped(self.tensor().unsqueeze(axis)?)
    }

    /// Without the axis `axis` of size 1.
    ///
    /// # Errors
    /// An axis out of range or not of size 1.
    pub fn squeeze(&self, axis: impl IntoAxis) -> Result<Var> {
        self.reshaped(self.tensor().squeeze(axis)?)
    }

    /// Axes in another order: axis i of the result is axis `order[i]` of this.
    ///
    /// # Errors
    /// An axis out of range, missing or named twice.
    pub fn permute(&self, order: &[impl IntoAxis]) -> Result<Var> {
        let index = |&axis| axis_index("permute", axis, self.shape());
        let order = order.iter().map(index).collect::<Result<Vec<_>>>()?;
        let y = self.tensor().permute(&order)?;
        let y = Var::record(&[self], y, |_| Permute(order.clone()));
        y.moved_from(self, |squash| squash.permuted(&order), |logits| logits.permute(&order))
    }

    /// The axes `a` and `b` exchanged.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn transpose(&self, a: impl IntoAxis, b: impl IntoAxis) -> Result<Var> {
        let a = axis_index("transpose", a, self.shape())?;
        let b = axis_index("transpose", b, self.shape())?;
        let mut order: Vec<usize> = (0..self.shape().rank()).collect();
        order.swap(a, b);
        self.permute(&order)
    }

    /// The transpose of a matrix.
    ///
    /// # Errors
    /// A tensor that is not of two axes.
    pub fn t(&self) -> Result<Var> {
        if self.shape().rank() != 2 {
            return Err(Error::shape("t", format!("{} is not a matrix; use `transpose` or `permute`", self.shape())));
        }
        self.permute(&[1, 0])
    }

    /// The indices `range` of one axis.
    ///
    /// # Errors
    /// An axis out of range, a range that leaves the axis.
    pub fn slice(&self, axis: impl IntoAxis, range: Range<usize>) -> Result<Var> {
        self.slice_by(axis, range, 1)
    }

    /// Every `step`-th index of a range of one axis, from its end for a negative step.
    ///
    /// # Errors
    /// An axis out of range, a range that leaves the axis, a step of 0.
    pub fn slice_by(&self, axis: impl IntoAxis, range: Range<usize>, step: isize) -> Result<Var> {
        let axis = axis_index("slice", axis, self.shape())?;
        let y = self.tensor().slice_by(axis, range.clone(), step)?;
        let y = Var::record(&[self], y, |_| Slice { axis, range: range.clone(), step, shape: *self.shape() });
        let cuts = |softmax| softmax == axis && y.dims()[axis] < self.dims()[axis];
        y.clone().moved_from(self, |squash| squash.if_untouched(cuts), |logits| logits.slice_by(axis, range, step))
    }

    /// Zeros of `shape` with this at the indices from `start` of one axis: the adjoint of [`Var::slice`]. The other axes may
    /// broadcast, by NumPy's rule.
    ///
    /// # Errors
    /// An axis out of range, a part that does not fit the shape.
    pub fn embed(&self, axis: impl IntoAxis, start: usize, shape: impl IntoShape) -> Result<Var> {
        let shape = shape.into_shape()?;
        let axis = axis_index("embed", axis, &shape)?;
        // As many indices as this has of that axis: one, where it is an axis that broadcasting puts before.
        let own = axis.saturating_add(self.shape().rank()).checked_sub(shape.rank());
        let size = own.and_then(|own| self.dims().get(own)).copied().unwrap_or(1);
        let range = start..start.saturating_add(size);
        self.embed_by(axis, range, 1, shape)
    }

    /// Zeros of `shape` with this at every `step`-th index of a range of one axis: the adjoint of [`Var::slice_by`]. The other
    /// axes may broadcast, by NumPy's rule.
    ///
    /// # Errors
    /// An axis out of range, a range that leaves the axis, a step of 0, a value that does not fit.
    pub fn embed_by(
        &self,
        axis: impl IntoAxis,
        range: Range<usize>,
        step: isize,
        shape: impl IntoShape,
    ) -> Result<Var> {
        let shape = shape.into_shape()?;
        let axis = axis_index("embed", axis, &shape)?;
        let y = self.tensor().embed_by(axis, range.clone(), step, shape)?;
        Ok(Var::record(&[self], y, |_| Embed { axis, range, step, shape: *self.shape() }))
    }

    /// See [`kiln_tensor::Arithmetic::put_part`].
    pub(crate) fn with_part(self, cuts: &[Cut], value: &Var) -> Result<Var> {
        let (tensor, node) = self.into_parts();
        let y = tensor.put_part(cuts, value.tensor())?;
        let x = Var::with_node(y.clone(), node);
        Ok(Var::record(&[&x, value], y, |_| PutPart { cuts: cuts.to_vec(), value: *value.shape() }))
    }

    /// See [`kiln_tensor::Arithmetic::windows`].
    pub(crate) fn windowed(&self, axis: usize, size: usize, step: usize, dilation: usize) -> Result<Var> {
        let y = Arithmetic::windows(self.tensor(), axis, size, step, dilation)?;
        let y = Var::record(&[self], y, |_| Windows { axis, step, dilation, shape: *self.shape() });
        y.moved_from(
            self,
            |squash| squash.if_untouched(|softmax| softmax == axis),
            |logits| logits.windowed(axis, size, step, dilation),
        )
    }

    /// Stretched by NumPy's rule.
    ///
    /// # Errors
    /// A shape that this does not broadcast to.
    pub fn broadcast_to(&self, shape: impl IntoShape) -> Result<Var> {
        let y = self.tensor().broadcast_to(shape)?;
        let shape = *y.shape();
        let y = Var::record(&[self], y, |_| BroadcastTo(*self.shape()));
        y.moved_from(self, |squash| squash.broadcast(self.shape(), &shape), |logits| logits.broadcast_to(shape))
    }

    /// Summed over the axes along which `shape` would be stretched to this one: the adjoint of broadcasting.
    ///
    /// # Errors
    /// A shape that does not broadcast to this one.
    pub fn sum_to(&self, shape: &Shape) -> Result<Var> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let y = self.tensor().sum_to(shape)?;
        Ok(Var::record(&[self], y, |_| SumTo(*self.shape())))
    }

    /// One after the other along `axis`.
    ///
    /// # Errors
    /// No Vars, an axis out of range, or shapes that differ in another axis.
    pub fn concat(vars: &[&Var], axis: impl IntoAxis) -> Result<Var> {
        let tensors: Vec<&Tensor> = vars.iter().map(|var| var.tensor()).collect();
        let y = Tensor::concat(&tensors, axis)?;
        let axis = axis_index("concat", axis, y.shape())?;
        let y = Var::record(vars, y, |_| Concat { axis, sizes: vars.iter().map(|var| var.dims()[axis]).collect() });
        let seen = |_, squash: Squash| squash.if_untouched(|softmax| softmax == axis);
        y.moved_from_all(vars, seen, |logits| Var::concat(logits, axis))
    }

    /// Along a new axis, placed as by [`Var::unsqueeze`].
    ///
    /// # Errors
    /// No Vars, an axis out of range, or shapes that differ.
    pub fn stack(vars: &[&Var], axis: impl IntoAxis) -> Result<Var> {
        let parts = vars.iter().map(|var| var.unsqueeze(axis)).collect::<Result<Vec<_>>>()?;
        Var::concat(&parts.iter().collect::<Vec<_>>(), axis)
    }

    /// This in the type that it is computed in: f32 where it is of a half type.
    #[inline]
    pub(crate) fn widened(&self) -> Result<Var> {
        self.to_dtype(self.dtype().computed_in())
    }

    /// As [`Var::widened`], of a Var that is not needed any more.
    #[inline]
    pub(crate) fn into_wide(self) -> Result<Var> {
        if self.is_half() { self.widened() } else { Ok(self) }
    }

    /// Whether this is of a half type, which rules compute with in f32.
    #[inline]
    pub(crate) fn is_half(&self) -> bool {
        self.dtype().computed_in() != self.dtype()
    }

    /// Converted to another float type.
    ///
    /// # Errors
    /// A conversion to a type that gradients cannot have, where one is needed.
    pub fn to_dtype(&self, dtype: DType) -> Result<Var> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        if self.requires_grad() && !dtype.is_float() {
            return Err(Error::value("to_dtype", format!("no gradient flows through {dtype}: `detach` the Var first")));
        }
        let y = self.tensor().to_dtype(dtype)?;
        let y = Var::record(&[self], y, |_| ToDType(self.dtype()));
        let float = dtype.is_float();
        y.moved_from(self, |squash| float.then_some(squash), |logits| logits.to_dtype(dtype))
    }
}
