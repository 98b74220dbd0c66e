//! Normalization by the moments of channels.

use super::{Tensor, check_device, check_pair};
use crate::{Arithmetic, Call, Error, Out, Ran, Result, Shape, UnaryCall, View, unsupported_dtype};
use kiln_math::UnaryOp;

/// How elements are normalized by moments of their channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Normalization {
    /// ε, added to the variance.
    pub epsilon: f64,
    /// Whether the moments are those of the operand itself, so that gradients go through them (training); else they are
    /// constants (running statistics).
    pub own_moments: bool,
    /// Applied last; its derivative is taken from the output.
    pub activation: Option<UnaryCall>,
}

/// out = mean and biased variance of each channel of x.
///
/// Moments, weight, bias and their gradients are of the type that x is computed in: f32 where x is of a half type. (So in the
/// calls below.)
#[derive(Clone, Copy, Debug)]
pub struct MomentsCall<'a> {
    /// (2, C): means, variances.
    pub out: Out<'a>,
    /// (N, C, S), row-major; channels have elements.
    pub x: View<'a>,
}

/// out = activation((x − mean) / sqrt(variance + ε) · weight + bias).
#[derive(Clone, Copy, Debug)]
pub struct NormalizeCall<'a> {
    /// ε and the activation.
    pub form: Normalization,
    /// (N, C, S) of x's dtype.
    pub out: Out<'a>,
    /// (N, C, S), row-major.
    pub x: View<'a>,
    /// (2, C), row-major.
    pub moments: View<'a>,
    /// (C,), row-major.
    pub weight: Option<View<'a>>,
    /// (C,), row-major.
    pub bias: Option<View<'a>>,
}

/// The gradients of a normalization. With dz = dy · activation′(y), x̂ the normalized x and s = weight / sqrt(variance + ε): the
/// weight's is Σ dz·x̂, the bias's Σ dz, and dx = s·(dz − mean(dz) − x̂ · mean(dz·x̂)), or s·dz where the moments are constants.
#[derive(Clone, Copy, Debug)]
pub struct NormalizeGradCall<'a> {
    /// As in [`NormalizeCall`].
    pub form: Normalization,
    /// (N, C, S) of x's dtype.
    pub dx: Out<'a>,
    /// (2, C): those of weight and bias.
    pub affine: Out<'a>,
    /// As in [`NormalizeCall`].
    pub x: View<'a>,
    /// The output, row-major; read only where there is an activation.
    pub y: View<'a>,
    /// The gradient with respect to it, row-major.
    pub dy: View<'a>,
    /// As in [`NormalizeCall`].
    pub moments: View<'a>,
    /// As in [`NormalizeCall`].
    pub weight: Option<View<'a>>,
}

/// A number of each channel, (C,) or a row of (2, C), over (N, C, S).
fn by_channel<T: Arithmetic>(of: &T) -> Result<T> {
    of.reshape(Shape::new(&[1, of.value().elements(), 1])?)
}

/// The composed form of moments: mean and biased variance (1, C, 1) of x (N, C, S), which has elements and is no half type.
///
/// # Errors
/// Those of the operations.
pub fn composed_moments<T: Arithmetic>(x: &T) -> Result<[T; 2]> {
    let over = [0, 2];
    // Less a first element, what is added up is small, and what is constant gives exactly 0. One that is not finite stays.
    let first = x.value().slice(0, 0..1)?.slice(2, 0..1)?;
    let zero = first.sub(&first)?;
    let finite = zero.eq(&Tensor::zeros((), first.dtype, first.device())?)?;
    let first = T::constant(Tensor::select(&finite, &first, &Tensor::zeros((), first.dtype, first.device())?)?);
    let shifted = x.sub(&first)?;
    let mean = shifted.mean_keepdim(&over)?;
    let centered = shifted.sub(&mean)?;
    Ok([mean.add(&first)?, centered.mul(&centered)?.mean_keepdim(&over)?])
}

/// The composed form of x (N, C, S), in the type that it is computed in, with moments of C elements each.
///
/// # Errors
/// Those of the operations.
pub fn composed<T: Arithmetic>(
    form: &Normalization,
    x: &T,
    [mean, variance]: &[T; 2],
    weight: Option<&T>,
    bias: Option<&T>,
) -> Result<T> {
    let scale = by_channel(variance)?.affine(1.0, form.epsilon)?.map(UnaryOp::Sqrt)?.map(UnaryOp::Recip)?;
    let mut y = x.sub(&by_channel(mean)?)?.mul(&scale)?;
    if let Some(weight) = weight {
        y = y.mul(&by_channel(weight)?)?;
    }
    if let Some(bias) = bias {
        y = y.add(&by_channel(bias)?)?;
    }
    form.activation.map_or(Ok(y.clone()), |call| y.unary(call))
}

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
        match self.device().run(&Call::Moments(MomentsCall { out: out.out(), x: x.view() }))? {
            Ran::NotHere if x.elements() > 0 => {
                let [mean, variance] = composed_moments(&x.to_dtype(out.dtype)?)?;
                Tensor::concat(&[&mean, &variance], 0)?.reshape(out.shape())
            }
            _ => Ok(out),
        }
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
        let out = Tensor::output(x.shape(), self.dtype, self.device())?;
        let [weight, bias] = factors.each_ref().map(Option::as_ref);
        let call = NormalizeCall {
            form: *form,
            out: out.out(),
            x: x.view(),
            moments: moments.view(),
            weight: weight.map(Tensor::view),
            bias: bias.map(Tensor::view),
        };
        if self.device().run(&Call::Normalize(call))? == Ran::NotHere {
            let moments = [moments.index(0, 0)?, moments.index(0, 1)?];
            return x.in_wide(|x| composed(form, x, &moments, weight, bias))?.reshape(self.shape());
        }
        out.reshape(self.shape())
    }

    /// The gradients of [`Tensor::normalize`] of this x, from its output y, which only a form with an activation needs, and dy.
    /// `None` where the device has no kernel for them: then they are derivatives of [`crate::composed::normalize`].
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
    ) -> Result<Option<NormalizeGradients>> {
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
        let call = NormalizeGradCall {
            form: *form,
            dx: dx.out(),
            affine: affine.out(),
            x: x.view(),
            y: output,
            dy: dy.view(),
            moments: moments.view(),
            weight: weight.as_ref().map(Tensor::view),
        };
        if self.device().run(&Call::NormalizeGrad(call))? == Ran::NotHere {
            return Ok(None);
        }
        let (weight, bias) = (affine.index(0, 0)?, affine.index(0, 1)?);
        Ok(Some(NormalizeGradients { dx: dx.reshape(self.shape())?, weight, bias }))
    }
}
