//! Reductions over axes.

use crate::{Backward, Function, Var};
use kiln_tensor::{CompareOp, IntoAxes, ReduceOp, Result, Shape, Tensor};

/// y = Σ x or its mean over axes; dx repeats dy, times 1/n for the mean.
struct Sum {
    /// x's shape.
    shape: Shape,
    /// y's shape with the reduced axes kept at size 1.
    kept: Shape,
    scale: f64,
}

impl Function for Sum {
    fn name(&self) -> &'static str {
        if self.scale == 1.0 { "sum" } else { "mean" }
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        // Scaled while it is small; the repetition is a view.
        let dy = if self.scale == 1.0 { dy } else { dy.mul_scalar(self.scale)? };
        pass.accumulate(0, dy.reshape(self.kept)?.broadcast_to(self.shape)?)
    }
}

/// y = max or min of x over axes; dy goes to the elements that equal y, in equal parts (as in PyTorch's amax).
struct Extremum {
    op: ReduceOp,
    x: Tensor,
    y: Tensor,
    kept: Shape,
}

impl Function for Extremum {
    fn name(&self) -> &'static str {
        if self.op == ReduceOp::Max { "max" } else { "min" }
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        // Which elements are chosen does not change with x, so the mask is a constant, of higher derivatives as well.
        let y = self.y.reshape(self.kept)?.broadcast_to(self.x.shape())?;
        let mask = self.x.compare(CompareOp::Eq, &y)?.to_dtype(self.x.dtype())?;
        let count = mask.sum_to(&self.kept)?;
        let share = Var::constant(mask).div(&Var::constant(count))?;
        pass.accumulate(0, share.mul(&dy.reshape(self.kept)?)?)
    }
}

impl Var {
    fn reduce(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<(Tensor, Shape)> {
        let axes = axes.into_axes(self.shape())?;
        let mut kept = self.shape().to_vec();
        for &axis in axes.iter() {
            kept[axis] = 1;
        }
        Ok((self.tensor().reduce(op, axes, keep)?, Shape::new(&kept)?))
    }

    fn add_up(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        let (y, kept) = self.reduce(op, axes, keep)?;
        let count = self.shape().elements() as f64 / kept.elements().max(1) as f64;
        let scale = if op == ReduceOp::Mean { 1.0 / count } else { 1.0 };
        Ok(Var::record(&[self], y, |_| Sum { shape: *self.shape(), kept, scale }))
    }

    fn extremum(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        let (y, kept) = self.reduce(op, axes, keep)?;
        Ok(Var::record(&[self], y, |y| Extremum { op, x: self.tensor().clone(), y: y.clone(), kept }))
    }

    /// Σ x over `axes` (negative ones count from the end, `..` is all); `keep` leaves them at size 1.
    ///
    /// # Errors
    /// An axis out of range or named twice.
    pub fn sum(&self, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        self.add_up(ReduceOp::Sum, axes, keep)
    }

    /// The mean over `axes`.
    ///
    /// # Errors
    /// An axis out of range or named twice.
    pub fn mean(&self, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        self.add_up(ReduceOp::Mean, axes, keep)
    }

    /// The largest element over `axes`; NaN wins. Equal ones share the gradient.
    ///
    /// # Errors
    /// An axis out of range, named twice, or empty.
    pub fn max(&self, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        self.extremum(ReduceOp::Max, axes, keep)
    }

    /// The smallest element over `axes`; NaN wins. Equal ones share the gradient.
    ///
    /// # Errors
    /// An axis out of range, named twice, or empty.
    pub fn min(&self, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        self.extremum(ReduceOp::Min, axes, keep)
    }

    /// Σ of all elements, a scalar.
    ///
    /// # Errors
    /// A dtype without arithmetic.
    pub fn sum_all(&self) -> Result<Var> {
        self.sum(.., false)
    }

    /// The mean of all elements, a scalar.
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn mean_all(&self) -> Result<Var> {
        self.mean(.., false)
    }
}
