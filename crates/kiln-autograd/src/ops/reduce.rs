//! Reductions over axes.

use crate::{Backward, Function, Var};
use kiln_tensor::{Arithmetic, Axes, CompareOp, IntoAxes, ReduceOp, Result, Shape, Tensor};

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

/// y = Σ x² over axes, or Σ (x − mean)²: dx = 2·x·dy, or 2·(x − mean)·dy.
struct Squares {
    x: Tensor,
    axes: Axes,
    centered: bool,
}

impl Function for Squares {
    fn name(&self) -> &'static str {
        "squares"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        let x = pass.input(0, &self.x);
        let distance = if self.centered { x.sub(&x.mean_keepdim(self.axes)?)? } else { x };
        pass.accumulate(0, distance.mul(&dy.mul_scalar(2.0)?)?)
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
        let mask = self.x.compare(CompareOp::Eq, &y)?.to_dtype(self.x.dtype().computed_in())?;
        let count = mask.sum_to(&self.kept)?;
        let share = Var::constant(mask).div(&Var::constant(count))?;
        pass.accumulate(0, dy.in_wide(|dy| share.mul(&dy.reshape(self.kept)?))?)
    }
}

/// y = Π x over axes; each dx is dy times the product of the other elements: right where some are 0, too, as y/x is not.
struct Product {
    x: Tensor,
    kept: Shape,
    axes: Axes,
}

impl Function for Product {
    fn name(&self) -> &'static str {
        "prod"
    }
    fn backward(&self, dy: Var, pass: &mut Backward<'_>) -> Result<()> {
        // The reduced axes to the front, and as one: factors (n, m) of m products.
        let rest = (0..self.x.rank()).filter(|axis| !self.axes.contains(axis));
        let order: Vec<usize> = self.axes.iter().copied().chain(rest).collect();
        let factors = pass.input(0, &self.x).permute(&order)?;
        let (permuted, m) = (*factors.shape(), self.kept.elements());
        let n = permuted[..self.axes.len()].iter().product();
        let factors = factors.reshape([n, m])?.widened()?;
        let dx = dy.in_wide(|dy| times_others(&factors, dy.reshape([1, m])?))?;
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        pass.accumulate(0, dx.reshape(permuted)?.permute(&back)?)
    }
}

/// dy (1, m) times, for each of the factors (n, m), the product of the others in its column.
///
/// Factors are paired until one is left; on the way back a pair's share, times one of it, is the other's: 3n products,
/// where every factor's own product would take n².
fn times_others(factors: &Var, dy: Var) -> Result<Var> {
    let n = factors.dims()[0];
    match n {
        0 => return Ok(factors.clone()), // no factor, no gradient
        1 => return Ok(dy),
        _ => {}
    }
    let half = n / 2;
    let (first, second) = (factors.slice(0, 0..half)?, factors.slice(0, half..2 * half)?);
    let unpaired = factors.slice(0, 2 * half..n)?;
    let shares = times_others(&Var::concat(&[&first.mul(&second)?, &unpaired], 0)?, dy)?;
    let (pairs, unpaired) = (shares.slice(0, 0..half)?, shares.slice(0, half..n - half)?);
    Var::concat(&[&pairs.mul(&second)?, &pairs.mul(&first)?, &unpaired], 0)
}

impl Var {
    fn reduced(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<(Tensor, Shape)> {
        let axes = axes.into_axes(self.shape())?;
        let mut kept = self.shape().to_vec();
        for &axis in axes.iter() {
            kept[axis] = 1;
        }
        Ok((
            (if keep { self.tensor().reduce_keepdim(op, axes) } else { self.tensor().reduce(op, axes) })?,
            Shape::new(&kept)?,
        ))
    }

    fn add_up(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        let (y, kept) = self.reduced(op, axes, keep)?;
        let count = self.shape().elements() as f64 / kept.elements().max(1) as f64;
        let scale = if op == ReduceOp::Mean { 1.0 / count } else { 1.0 };
        Ok(Var::record(&[self], y, |_| Sum { shape: *self.shape(), kept, scale }))
    }

    fn extremum(&self, op: ReduceOp, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        let (y, kept) = self.reduced(op, axes, keep)?;
        Ok(Var::record(&[self], y, |y| Extremum { op, x: self.tensor().clone(), y: y.clone(), kept }))
    }

    /// Σ x² over `axes`, which stay at size 1, or Σ (x − mean)²; half types are computed in f32.
    pub(super) fn squares(&self, axes: &[usize], centered: bool) -> Result<Var> {
        let axes = axes.into_axes(self.shape())?;
        self.in_wide(|x| {
            let y = x.tensor().squares_keepdim(&axes, centered)?;
            Ok(Var::record(&[x], y, |_| Squares { x: x.tensor().clone(), axes, centered }))
        })
    }

    /// Σ x over `axes` (negative ones count from the end, `..` is all).
    ///
    /// # Errors
    /// An axis out of range or named twice.
    pub fn sum(&self, axes: impl IntoAxes) -> Result<Var> {
        self.add_up(ReduceOp::Sum, axes, false)
    }

    /// [`Var::sum`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::sum`].
    pub fn sum_keepdim(&self, axes: impl IntoAxes) -> Result<Var> {
        self.add_up(ReduceOp::Sum, axes, true)
    }

    /// The mean over `axes`.
    ///
    /// # Errors
    /// An axis out of range or named twice.
    pub fn mean(&self, axes: impl IntoAxes) -> Result<Var> {
        self.add_up(ReduceOp::Mean, axes, false)
    }

    /// [`Var::mean`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::mean`].
    pub fn mean_keepdim(&self, axes: impl IntoAxes) -> Result<Var> {
        self.add_up(ReduceOp::Mean, axes, true)
    }

    /// The largest element over `axes`; NaN wins. Equal ones share the gradient.
    ///
    /// # Errors
    /// An axis out of range, named twice, or empty.
    pub fn max(&self, axes: impl IntoAxes) -> Result<Var> {
        self.extremum(ReduceOp::Max, axes, false)
    }

    /// [`Var::max`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::max`].
    pub fn max_keepdim(&self, axes: impl IntoAxes) -> Result<Var> {
        self.extremum(ReduceOp::Max, axes, true)
    }

    /// The smallest element over `axes`; NaN wins. Equal ones share the gradient.
    ///
    /// # Errors
    /// An axis out of range, named twice, or empty.
    pub fn min(&self, axes: impl IntoAxes) -> Result<Var> {
        self.extremum(ReduceOp::Min, axes, false)
    }

    /// [`Var::min`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::min`].
    pub fn min_keepdim(&self, axes: impl IntoAxes) -> Result<Var> {
        self.extremum(ReduceOp::Min, axes, true)
    }

    /// Π x over `axes`; 1 of nothing.
    ///
    /// # Errors
    /// An axis out of range or named twice.
    pub fn prod(&self, axes: impl IntoAxes) -> Result<Var> {
        self.product(axes, false)
    }

    /// [`Var::prod`] with the axes kept at size 1.
    ///
    /// # Errors
    /// As [`Var::prod`].
    pub fn prod_keepdim(&self, axes: impl IntoAxes) -> Result<Var> {
        self.product(axes, true)
    }

    fn product(&self, axes: impl IntoAxes, keep: bool) -> Result<Var> {
        let axes = axes.into_axes(self.shape())?;
        let (y, kept) = self.reduced(ReduceOp::Prod, axes, keep)?;
        Ok(Var::record(&[self], y, |_| Product { x: self.tensor().clone(), kept, axes }))
    }

    /// Σ of all elements, a scalar.
    ///
    /// # Errors
    /// A dtype without arithmetic.
    pub fn sum_all(&self) -> Result<Var> {
        self.sum(..)
    }

    /// The mean of all elements, a scalar.
    ///
    /// # Errors
    /// A dtype that is not a float type.
    pub fn mean_all(&self) -> Result<Var> {
        self.mean(..)
    }
}
