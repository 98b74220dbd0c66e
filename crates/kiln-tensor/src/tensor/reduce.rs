//! Reductions over axes.

use super::{Axes, IntoAxes, IntoAxis, Tensor, axis_index};
use crate::{ArgReduceOp, DType, Error, MAX_RANK, ReduceOp, Result, Shape, unsupported_dtype};

impl Tensor {
    /// Reduces `axes` by `op`. Sums and products of integers and bool are i64, and wrap; extrema have the tensor's dtype.
    ///
    /// # Errors
    /// An axis out of range or named twice, the maximum of nothing, the mean of integers or bool.
    pub fn reduce(&self, op: ReduceOp, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduced(op, axes, false)
    }

    /// [`Tensor::reduce`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn reduce_keepdim(&self, op: ReduceOp, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduced(op, axes, true)
    }

    fn reduced(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<Tensor> {
        let axes = axes.into_axes(self.shape())?;
        let dtype = match op {
            _ if self.dtype.is_float() => self.dtype,
            ReduceOp::Sum | ReduceOp::Prod => DType::I64,
            ReduceOp::Max | ReduceOp::Min => self.dtype,
            ReduceOp::Mean => return Err(unsupported_dtype("mean", self.dtype, "f32, f64, f16 or bf16")),
        };
        let (mut dims, mut rank) = ([0; MAX_RANK], 0);
        for (axis, &size) in self.dims().iter().enumerate() {
            let reduced = axes.contains(&axis);
            if reduced && size == 0 && matches!(op, ReduceOp::Max | ReduceOp::Min) {
                return Err(Error::shape(
                    "reduce",
                    format!("axis {axis} of {} is empty: it has no extremum", self.shape()),
                ));
            }
            if !reduced || keep {
                dims[rank] = if reduced { 1 } else { size };
                rank += 1;
            }
        }
        let out = Tensor::output(&Shape::new(&dims[..rank])?, dtype, self.device())?;
        self.device().reduce(op, out.out(), self.view(), &axes)?;
        Ok(out)
    }

    /// Σ x over `axes` (negative ones count from the end, `..` is all).
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn sum(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce(ReduceOp::Sum, axes)
    }

    /// [`Tensor::sum`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::sum`].
    pub fn sum_keepdim(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce_keepdim(ReduceOp::Sum, axes)
    }

    /// The mean over `axes`; NaN of nothing.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn mean(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce(ReduceOp::Mean, axes)
    }

    /// [`Tensor::mean`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::mean`].
    pub fn mean_keepdim(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce_keepdim(ReduceOp::Mean, axes)
    }

    /// The largest element over `axes`; NaN wins.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn max(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce(ReduceOp::Max, axes)
    }

    /// [`Tensor::max`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::max`].
    pub fn max_keepdim(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce_keepdim(ReduceOp::Max, axes)
    }

    /// The smallest element over `axes`; NaN wins.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn min(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce(ReduceOp::Min, axes)
    }

    /// [`Tensor::min`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::min`].
    pub fn min_keepdim(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce_keepdim(ReduceOp::Min, axes)
    }

    /// Π x over `axes`; 1 of nothing.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn prod(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce(ReduceOp::Prod, axes)
    }

    /// [`Tensor::prod`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::prod`].
    pub fn prod_keepdim(&self, axes: impl IntoAxes) -> Result<Tensor> {
        self.reduce_keepdim(ReduceOp::Prod, axes)
    }

    /// Σ of all elements, a scalar.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn sum_all(&self) -> Result<Tensor> {
        self.sum(..)
    }

    /// The mean of all elements, a scalar.
    ///
    /// # Errors
    /// As [`Tensor::reduce`].
    pub fn mean_all(&self) -> Result<Tensor> {
        self.mean(..)
    }

    fn arg_reduce(&self, op: ArgReduceOp, axis: impl IntoAxis) -> Result<Tensor> {
        let operation = match op {
            ArgReduceOp::Argmax => "argmax",
            ArgReduceOp::Argmin => "argmin",
        };
        let axis = axis_index(operation, axis, self.shape())?;
        if self.dims()[axis] == 0 {
            return Err(Error::shape(
                operation,
                format!("axis {axis} of {} is empty: it has no extremum", self.shape()),
            ));
        }
        let out = Tensor::output(&self.shape().without_axis(axis), DType::I64, self.device())?;
        self.device().arg_reduce(op, out.out(), self.view(), axis)?;
        Ok(out)
    }

    /// Where along `axis` the largest element is: the first one; NaN wins.
    ///
    /// # Errors
    /// An axis out of range or empty.
    pub fn argmax(&self, axis: impl IntoAxis) -> Result<Tensor> {
        self.arg_reduce(ArgReduceOp::Argmax, axis)
    }

    /// Where along `axis` the smallest element is: the first one; NaN wins.
    ///
    /// # Errors
    /// An axis out of range or empty.
    pub fn argmin(&self, axis: impl IntoAxis) -> Result<Tensor> {
        self.arg_reduce(ArgReduceOp::Argmin, axis)
    }

    /// Summed over the axes along which `shape` would be stretched to this one: the adjoint of broadcasting.
    ///
    /// # Errors
    /// A shape that does not broadcast to this one.
    pub fn sum_to(&self, shape: &Shape) -> Result<Tensor> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let lead = self.rank().checked_sub(shape.rank());
        let fits = |lead: usize| shape.iter().zip(&self.dims()[lead..]).all(|(&to, &from)| to == from || to == 1);
        let Some(lead) = lead.filter(|&lead| fits(lead)) else {
            return Err(Error::shape("sum_to", format!("{shape} does not broadcast to {}", self.shape())));
        };
        let stretched = |axis: usize| axis < lead || shape[axis - lead] == 1 && self.dims()[axis] != 1;
        let axes = Axes::those(self.shape(), stretched);
        self.reduce(ReduceOp::Sum, axes)?.reshape(shape)
    }
}
