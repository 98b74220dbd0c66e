//! Maxima of windows.

use super::{Tensor, check_device};
use crate::{DType, Error, ErrorKind, PoolOptions, Result, Shape, Window, unsupported_dtype};

impl Tensor {
    /// The largest element in each window of x (N, C, D…), and where in its plane D… that is (i64): the first of equals, or
    /// a NaN. Padding is never chosen.
    ///
    /// # Errors
    /// What [`PoolOptions::output_shape`] says, a dtype that is no float.
    pub fn max_pool(&self, options: &PoolOptions) -> Result<(Tensor, Tensor)> {
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("max_pool", self.dtype, "f32, f64, f16 or bf16"));
        }
        let window = options.resolve("max_pool", self.shape())?;
        let sizes = window.output_sizes("max_pool", self.shape())?;
        let shape = Window::shape(&self.dims()[..2], sizes, self.rank() - 2)?;
        let x = self.contiguous()?;
        let out = Tensor::output(&shape, self.dtype, self.device())?;
        let index = Tensor::output(&shape, DType::I64, self.device())?;
        self.device().backend().max_pool(&window, out.out(), index.out(), x.view())?;
        Ok((out, index))
    }

    /// The gradient of [`Tensor::max_pool`] of an input of this shape: this dy (N, C, P…), added up at `index` of each plane.
    ///
    /// # Errors
    /// Shapes that do not fit, an index that is not i64 or (where the host sees it) not in its plane, devices that differ.
    pub fn max_pool_grad(&self, index: &Tensor, shape: &Shape) -> Result<Tensor> {
        check_device("max_pool_grad", self, index)?;
        index.expect_dtype("max_pool_grad", DType::I64)?;
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("max_pool_grad", self.dtype, "f32, f64, f16 or bf16"));
        }
        let fits = self.rank() == shape.rank() && self.rank() >= 3 && self.dims()[..2] == shape[..2];
        if self.shape() != index.shape() || !fits {
            return Err(Error::shape(
                "max_pool_grad",
                format!("{} at {} is no gradient of the maxima of {shape}", self.shape(), index.shape()),
            ));
        }
        let (dy, index) = (self.contiguous()?, index.contiguous()?);
        if self.device().backend().is_host() {
            check_places(index.as_slice()?, shape[2..].iter().product())?;
        }
        let out = Tensor::output(shape, self.dtype, self.device())?;
        self.device().backend().max_pool_grad(out.out(), dy.view(), index.view())?;
        Ok(out)
    }
}

/// Checks that the places of maxima are in planes of so many elements.
fn check_places(index: &[i64], plane: usize) -> Result<()> {
    let inside = |place: i64| (0..plane as i64).contains(&place);
    // Of all at once, which is vector code.
    if index.iter().fold(true, |all, &place| all & inside(place)) {
        return Ok(());
    }
    let place = index.iter().find(|&&place| !inside(place)).copied().unwrap_or_default();
    Err(Error::new(
        ErrorKind::Index,
        "max_pool_grad",
        format!(
            "a maximum at place {place} of a plane of {plane} elements: the index must be that of `max_pool` of this shape"
        ),
    ))
}
