//! Layer and RMS normalization of rows, after a residual sum where there is one.

use super::normalization::NormalizeGradients;
use super::{Tensor, check_device, check_pair};
use crate::{Arithmetic, Call, Error, Out, Ran, Result, Shape, View, unsupported_dtype};
use kiln_math::UnaryOp;

/// How rows are normalized. A row is the last `axes` axes of a sample.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RowNorm {
    /// How many of the last axes are normalized together.
    pub axes: usize,
    /// Whether it is layer normalization, which subtracts the mean and divides by the standard deviation; else RMS normalization, which
    /// divides by the root of the mean of the squares.
    pub centered: bool,
    /// ε, added to the variance or to the mean of the squares.
    pub epsilon: f64,
}

/// sum = x + residual, and out = x̂ · weight + bias with the normalized sum x̂; of x itself where there is no residual.
///
/// The result has the bits of the operations one after the other: the sum is rounded to its dtype before it is normalized.
#[derive(Clone, Copy, Debug)]
pub struct RowNormCall<'a> {
    /// What is normalized, and ε.
    pub form: RowNorm,
    /// (rows, n) of x's dtype.
    pub out: Out<'a>,
    /// (rows, n) of x's dtype; given where there is a residual.
    pub sum: Option<Out<'a>>,
    /// (2, rows): means, variances; without a mean (1, rows): means of the squares. Of the type that x is computed in.
    pub moments: Out<'a>,
    /// (rows, n), row-major.
    pub x: View<'a>,
    /// (rows, n), row-major, of x's dtype.
    pub residual: Option<View<'a>>,
    /// (n,), row-major, of the type that x is computed in.
    pub weight: Option<View<'a>>,
    /// (n,), row-major, of the type that x is computed in.
    pub bias: Option<View<'a>>,
}

/// The gradients of a [`RowNormCall`]. With dz = dy · weight and s = 1 / sqrt(variance + ε): dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)) +
/// direct, where mean(dz) is left out if no mean is subtracted; the weight's is Σ dy·x̂ and the bias's Σ dy over the rows.
#[derive(Clone, Copy, Debug)]
pub struct RowNormGradCall<'a> {
    /// As in [`RowNormCall`].
    pub form: RowNorm,
    /// (rows, n) of x's dtype: the gradient of the sum, which is that of both of its operands.
    pub dx: Out<'a>,
    /// (2, n): those of weight and bias. Of the type that x is computed in.
    pub affine: Out<'a>,
    /// (rows, n), row-major: what was normalized, the sum where there was a residual.
    pub x: View<'a>,
    /// As in [`RowNormCall`].
    pub moments: View<'a>,
    /// As in [`RowNormCall`].
    pub weight: Option<View<'a>>,
    /// (rows, n), row-major: the gradient of `out`.
    pub dy: View<'a>,
    /// (rows, n), row-major: the gradient that reaches the sum by other ways.
    pub direct: Option<View<'a>>,
}

/// The composed form of x, which is no half type: moments and normalization by channel of (1, rows, n), or the root of the mean of the
/// squares; then the factors, which have the shape of a row.
///
/// # Errors
/// Those of the operations.
pub fn composed<T: Arithmetic>(form: &RowNorm, x: &T, weight: Option<&T>, bias: Option<&T>) -> Result<T> {
    let shape = *x.shape();
    let first = shape.rank().saturating_sub(form.axes);
    let mut y = if form.centered {
        let (rows, row) = shape.split_at(first);
        let rows = Shape::new(&[1, rows.iter().product(), row.iter().product()])?;
        x.reshape(rows)?.normalized_channels(form.epsilon)?.reshape(shape)?
    } else {
        let over: Vec<usize> = (first..shape.rank()).collect();
        x.mul(&x.map(UnaryOp::Square)?.mean_keepdim(&over)?.affine(1.0, form.epsilon)?.map(UnaryOp::Rsqrt)?)?
    };
    if let Some(weight) = weight {
        y = y.mul(weight)?;
    }
    bias.map_or(Ok(y.clone()), |bias| y.add(bias))
}

/// What [`Tensor::row_norm`] gives.
pub struct RowNormed {
    /// The sum with the residual, or x.
    pub sum: Tensor,
    /// It, normalized.
    pub y: Tensor,
    /// What [`Tensor::row_norm_grad`] needs of the rows.
    pub moments: Tensor,
}

impl RowNorm {
    fn name(&self, adds: bool) -> &'static str {
        match (self.centered, adds) {
            (true, false) => "layer_norm",
            (true, true) => "add_layer_norm",
            (false, false) => "rms_norm",
            (false, true) => "add_rms_norm",
        }
    }

    /// x as (rows, n), and the shape of a row.
    fn rows<'x>(&self, operation: &'static str, x: &'x Tensor) -> Result<(Tensor, &'x [usize])> {
        if !x.dtype.is_float() {
            return Err(unsupported_dtype(operation, x.dtype, "f32, f64, f16 or bf16"));
        }
        match x.rank().checked_sub(self.axes) {
            Some(first) if self.axes > 0 => {
                let (rows, row) = x.dims().split_at(first);
                let rows = x.contiguous()?.reshape([rows.iter().product(), row.iter().product()])?;
                Ok((rows, row))
            }
            _ => Err(Error::shape(operation, format!("{} axes of {} cannot be normalized", self.axes, x.shape()))),
        }
    }
}

impl Tensor {
    /// A weight or bias of this x's rows, row-major and in the type that x is computed in.
    fn factor(&self, operation: &'static str, row: &[usize], factor: &Tensor) -> Result<Tensor> {
        check_device(operation, self, factor)?;
        if factor.dtype.computed_in() != self.dtype.computed_in() {
            check_pair(operation, self, factor)?;
        }
        if factor.dims() != row {
            let (axes, row) = (row.len(), Shape::new(row)?);
            let message = format!(
                "a weight or bias for the last {axes} axes of {} has shape {row}, got {}",
                self.shape(),
                factor.shape()
            );
            return Err(Error::shape(operation, message));
        }
        factor.contiguous()?.to_dtype(self.dtype.computed_in())
    }

    /// An operand of this x's shape and dtype, as (rows, n).
    fn like_rows(&self, operation: &'static str, rows: &Tensor, other: &Tensor) -> Result<Tensor> {
        check_pair(operation, self, other)?;
        if other.shape() != self.shape() {
            let message = format!("an operand of shape {} is expected, got {}", self.shape(), other.shape());
            return Err(Error::shape(operation, message));
        }
        other.contiguous()?.reshape(rows.shape())
    }

    /// The sum of this x and a residual of its shape, and the sum normalized, times weight, plus bias, which have the shape of a row;
    /// of x itself without a residual. `None` where the device has no kernel for it: then it is the sum and
    /// [`crate::composed::row_norm`].
    ///
    /// One pass over memory gives both, with the bits of the operations one after the other.
    ///
    /// # Errors
    /// More axes than there are, none, a residual, weight or bias of another shape, dtypes or devices that differ, a dtype that is not a
    /// float type.
    pub fn row_norm(
        &self,
        form: &RowNorm,
        residual: Option<&Tensor>,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Result<Option<RowNormed>> {
        let operation = form.name(residual.is_some());
        let (x, row) = form.rows(operation, self)?;
        let residual = residual.map(|residual| self.like_rows(operation, &x, residual)).transpose()?;
        let factor = |factor: Option<&Tensor>| factor.map(|factor| self.factor(operation, row, factor)).transpose();
        let (weight, bias) = (factor(weight)?, factor(bias)?);
        let y = Tensor::output(x.shape(), self.dtype, self.device())?;
        let sum = residual.as_ref().map(|_| Tensor::output(x.shape(), self.dtype, self.device())).transpose()?;
        let measured = Shape::new(&[if form.centered { 2 } else { 1 }, x.dims()[0]])?;
        let moments = Tensor::output(&measured, self.dtype.computed_in(), self.device())?;
        let call = RowNormCall {
            form: *form,
            out: y.out(),
            sum: sum.as_ref().map(Tensor::out),
            moments: moments.out(),
            x: x.view(),
            residual: residual.as_ref().map(Tensor::view),
            weight: weight.as_ref().map(Tensor::view),
            bias: bias.as_ref().map(Tensor::view),
        };
        if self.device().run(&Call::RowNorm(call))? == Ran::NotHere {
            return Ok(None);
        }
        let sum = sum.map_or(Ok(self.clone()), |sum| sum.reshape(self.shape()))?;
        Ok(Some(RowNormed { sum, y: y.reshape(self.shape())?, moments }))
    }

    /// The gradients of [`Tensor::row_norm`], where this is the sum, from the moments that it left, the gradient `dy` of what was
    /// normalized, and `direct`, what else is known of the sum's gradient, which is added to dx. `None` where the device has no kernel
    /// for them.
    ///
    /// # Errors
    /// As [`Tensor::row_norm`], a gradient of another shape than x's, moments of another form or number of rows.
    pub fn row_norm_grad(
        &self,
        form: &RowNorm,
        moments: &Tensor,
        weight: Option<&Tensor>,
        dy: &Tensor,
        direct: Option<&Tensor>,
    ) -> Result<Option<NormalizeGradients>> {
        const OPERATION: &str = "row_norm_grad";
        let (x, row) = form.rows(OPERATION, self)?;
        let dy = self.like_rows(OPERATION, &x, dy)?;
        let direct = direct.map(|direct| self.like_rows(OPERATION, &x, direct)).transpose()?;
        let weight = weight.map(|weight| self.factor(OPERATION, row, weight)).transpose()?;
        check_device(OPERATION, self, moments)?;
        let measured = [if form.centered { 2 } else { 1 }, x.dims()[0]];
        if moments.dims() != measured || moments.dtype != self.dtype.computed_in() {
            let message =
                format!("moments {measured:?} are expected, as `row_norm` gives them, got {}", moments.shape());
            return Err(Error::shape(OPERATION, message));
        }
        let moments = moments.contiguous()?;
        let dx = Tensor::output(x.shape(), self.dtype, self.device())?;
        let affine = Tensor::output(&Shape::new(&[2, x.dims()[1]])?, moments.dtype, self.device())?;
        let call = RowNormGradCall {
            form: *form,
            dx: dx.out(),
            affine: affine.out(),
            x: x.view(),
            moments: moments.view(),
            weight: weight.as_ref().map(Tensor::view),
            dy: dy.view(),
            direct: direct.as_ref().map(Tensor::view),
        };
        if self.device().run(&Call::RowNormGrad(call))? == Ran::NotHere {
            return Ok(None);
        }
        let of_row = |at: usize| affine.index(0, at)?.reshape(Shape::new(row)?);
        Ok(Some(NormalizeGradients { dx: dx.reshape(self.shape())?, weight: of_row(0)?, bias: of_row(1)? }))
    }
}
