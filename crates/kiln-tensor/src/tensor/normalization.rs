//! Normalisation by the moments of channels.

use super::{Tensor, check_device, check_pair};
use crate::{Error, Normalization, Result, Shape, unsupported_dtype};

/// What [`Tensor::normalize_grad`] gives.
pub struct NormalizeGradients {
    /// Of the input.
    pub dx: Tensor,
    /// Of the weight (C,); f32 of half types.
    pub weight: Tensor,
    /// Of the bias (C,); f32 of half types.
    pub bias: Tensor,
}

impl Tensor {
    /// This (N, C, …) as (N, C, S), row-major.
    fn by_channel(&self, operation: &'static str) -> Result<Tensor> {
        if !self.dtype.is_float() {
            return Err(unsupported_dtype(operation, self.dtype, "f32, f64, f16 or bf16"));
        }
        let Some((&[n, c], rest)) = self.dims().split_first_chunk::<2>() else {
            return Err(Error::shape(operation, format!("(N, C) or (N, C, …) is expected, got {}", self.shape())));
        };
        self.contiguous()?.reshape([n, c, rest.iter().product()])
    }

    /// Mean and biased variance of each channel of x (N, C) or (N, C, …), as (2, C); of half types they are f32.
    ///
    /// # Errors
    /// A rank below 2, channels without elements, a dtype that is not a float type.
    pub fn moments(&self) -> Result<Tensor> {
        let x = self.by_channel("moments")?;
        if x.elements() == 0 && x.dims()[1] > 0 {
            return Err(Error::shape("moments", format!("the channels of {} have no elements", self.shape())));
        }
        let out = Tensor::output(&Shape::new(&[2, x.dims()[1]])?, self.dtype.computed_in(), self.device())?;
        self.device().backend().moments(out.out(), x.view())?;
        Ok(out)
    }

    /// Moments (2, C) and factors (C,) of this x, row-major and in the type that x is computed in, once they are checked.
    fn of_channels<'t, const K: usize>(
        &self,
        operation: &'static str,
        moments: &'t Tensor,
        factors: [Option<&'t Tensor>; K],
    ) -> Result<(Tensor, [Option<Tensor>; K])> {
        let (channels, computed) = (self.dims()[1], self.dtype.computed_in());
        let convert = |of: &Tensor| {
            check_device(operation, self, of)?;
            if of.dtype != computed && of.dtype != self.dtype {
                check_pair(operation, self, of)?;
            }
            of.contiguous()?.to_dtype(computed)
        };
        if moments.dims() != [2, channels] {
            return Err(Error::shape(
                operation,
                format!("{} has moments of shape (2, {channels}), got {}", self.shape(), moments.shape()),
            ));
        }
        let mut converted = [const { None }; K];
        for (to, operand) in converted.iter_mut().zip(factors) {
            let Some(operand) = operand else { continue };
            if operand.dims() != [channels] {
                return Err(Error::shape(
                    operation,
                    format!("a weight or bias for {} has shape ({channels},), got {}", self.shape(), operand.shape()),
                ));
            }
            *to = Some(convert(operand)?);
        }
        Ok((convert(moments)?, converted))
    }

    /// activation((x − mean) / sqrt(variance + ε) · weight + bias) of x (N, C) or (N, C, …), with moments (2, C) and factors
    /// (C,), each of which may be absent. Moments and factors of a half x may be f32.
    ///
    /// # Errors
    /// A rank below 2, moments or factors of another shape, dtypes or devices that differ, a dtype that is not a float type.
    pub fn normalize(
        &self,
        form: &Normalization,
        moments: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let x = self.by_channel("normalize")?;
        let (moments, factors) = x.of_channels("normalize", moments, [weight, bias])?;
        let affine = factors.each_ref().map(|factor| factor.as_ref().map(Tensor::view));
        let out = Tensor::output(x.shape(), self.dtype, self.device())?;
        self.device().backend().normalize(form, out.out(), x.view(), moments.view(), affine)?;
        out.reshape(self.shape())
    }

    /// The gradients of [`Tensor::normalize`] of this x, from its output y, which only a form with an activation needs, and dy.
    ///
    /// # Errors
    /// As [`Tensor::normalize`], a y or dy of another shape, an absent y where the form has an activation.
    pub fn normalize_grad(
        &self,
        form: &Normalization,
        moments: &Tensor,
        weight: Option<&Tensor>,
        y: Option<&Tensor>,
        dy: &Tensor,
    ) -> Result<NormalizeGradients> {
        const OPERATION: &str = "normalize_grad";
        for other in [y, Some(dy)].into_iter().flatten() {
            check_pair(OPERATION, self, other)?;
            if other.shape() != self.shape() {
                return Err(Error::shape(OPERATION, format!("{} has an output of {}", self.shape(), other.shape())));
            }
        }
        if form.activation.is_some() && y.is_none() {
            return Err(Error::value(OPERATION, "the derivative of an activation is taken from its output: give it"));
        }
        let (x, dy) = (self.by_channel(OPERATION)?, dy.by_channel(OPERATION)?);
        let (moments, [weight]) = x.of_channels(OPERATION, moments, [weight])?;
        let y = y.map(|y| y.by_channel(OPERATION)).transpose()?;
        let dx = Tensor::output(x.shape(), self.dtype, self.device())?;
        let affine = Tensor::output(moments.shape(), moments.dtype, self.device())?;
        // dy stands in for an output that is not looked at.
        let output = y.as_ref().unwrap_or(&dy).view();
        self.device().backend().normalize_grad(
            form,
            dx.out(),
            affine.out(),
            x.view(),
            output,
            dy.view(),
            moments.view(),
            weight.as_ref().map(Tensor::view),
        )?;
        Ok(NormalizeGradients { dx: dx.reshape(self.shape())?, weight: affine.index(0, 0)?, bias: affine.index(0, 1)? })
    }
}
