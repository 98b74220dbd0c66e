//! Softmax and its logarithm.

use super::{IntoAxis, Tensor, axis_index, check_pair};
use crate::{Arithmetic, Call, Error, Out, Ran, Result, View, unsupported_dtype};
pub use kiln_cpu::softmax::SoftmaxKind;
use kiln_math::UnaryOp;

/// Softmax or its logarithm along the last axis.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCall<'a> {
    /// Which.
    pub kind: SoftmaxKind,
    /// Of x's shape and dtype.
    pub out: Out<'a>,
    /// Any layout.
    pub x: View<'a>,
}

/// The gradient of a softmax from its output: y·(dy − Σ y·dy), or dy − exp(y)·Σ dy of the logarithm.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxGradCall<'a> {
    /// Which.
    pub kind: SoftmaxKind,
    /// Of y's shape and dtype.
    pub out: Out<'a>,
    /// The softmax.
    pub y: View<'a>,
    /// The gradient with respect to it.
    pub dy: View<'a>,
}

/// out = ln Σ exp(x) along the last axis.
#[derive(Clone, Copy, Debug)]
pub struct LogsumexpCall<'a> {
    /// Of x's dtype and its shape without the last axis.
    pub out: Out<'a>,
    /// Any layout; its last axis has elements.
    pub x: View<'a>,
}

/// The composed form of ln Σ exp(x) along the last axis, which stays at size 1.
///
/// # Errors
/// No axis; those of the operations.
pub fn composed_logsumexp<T: Arithmetic>(x: &T) -> Result<T> {
    let last = [axis_index("logsumexp", -1, x.value().shape())?];
    x.in_wide(|x| {
        // An infinite maximum is the result, and infinity less itself is no number.
        let max = x.value().max_keepdim(-1)?;
        let zero = Tensor::zeros((), max.dtype, max.device())?;
        let finite = max.abs()?.lt(&Tensor::full((), f64::INFINITY, max.dtype, max.device())?)?;
        let shift = T::constant(Tensor::select(&finite, &max, &zero)?);
        x.sub(&shift)?.map(UnaryOp::Exp)?.sum_keepdim(&last)?.map(UnaryOp::Ln)?.add(&shift)
    })
}

/// The composed form: exp(x − max) / Σ exp(x − max) along the last axis, or its logarithm.
///
/// # Errors
/// No axis; those of the operations.
pub fn composed<T: Arithmetic>(kind: SoftmaxKind, x: &T) -> Result<T> {
    if x.value().elements() == 0 {
        return Ok(x.clone());
    }
    let last = [axis_index("softmax", -1, x.value().shape())?];
    x.in_wide(|x| {
        // A constant: what is taken from every element changes nothing.
        let max = T::constant(x.value().max_keepdim(-1)?);
        let shifted = x.sub(&max)?;
        let exp = shifted.map(UnaryOp::Exp)?;
        let sum = exp.sum_keepdim(&last)?;
        match kind {
            SoftmaxKind::Softmax => exp.div(&sum),
            SoftmaxKind::LogSoftmax => shifted.sub(&sum.map(UnaryOp::Ln)?),
        }
    })
}

impl Tensor {
    fn squashed(&self, kind: SoftmaxKind, axis: usize) -> Result<Tensor> {
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("softmax", self.dtype, "f32, f64, f16 or bf16"));
        }
        let last = self.rank() - 1;
        if axis != last {
            return self.transpose(axis, last)?.squashed(kind, last)?.transpose(axis, last);
        }
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        match self.device().run(&Call::Softmax(SoftmaxCall { kind, out: out.out(), x: self.view() }))? {
            Ran::Done => Ok(out),
            Ran::NotHere => composed(kind, self),
        }
    }

    /// exp(xᵢ) / Σ exp(xⱼ) along `axis` (negative: from the end), computed without overflow.
    ///
    /// # Errors
    /// An axis out of range, a dtype that is not a float type.
    pub fn softmax(&self, axis: impl IntoAxis) -> Result<Tensor> {
        self.squashed(SoftmaxKind::Softmax, axis_index("softmax", axis, self.shape())?)
    }

    /// xᵢ − ln Σ exp(xⱼ) along `axis`.
    ///
    /// # Errors
    /// An axis out of range, a dtype that is not a float type.
    pub fn log_softmax(&self, axis: impl IntoAxis) -> Result<Tensor> {
        self.squashed(SoftmaxKind::LogSoftmax, axis_index("log_softmax", axis, self.shape())?)
    }

    /// ln Σ exp(x) along `axis`, computed without overflow; −∞ where all elements are −∞.
    ///
    /// ```
    /// use kiln_tensor::{Device, Tensor};
    /// let x = Tensor::from_slice(&[1000.0f32, 1000.0], [2], &Device::cpu())?;
    /// assert_eq!(x.logsumexp(0)?.to_vec::<f32>()?, [1000.0 + 2f32.ln()]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// An axis out of range or without elements, a dtype that is not a float type.
    pub fn logsumexp(&self, axis: impl IntoAxis) -> Result<Tensor> {
        let axis = axis_index("logsumexp", axis, self.shape())?;
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("logsumexp", self.dtype, "f32, f64, f16 or bf16"));
        }
        if self.dims()[axis] == 0 {
            return Err(Error::shape("logsumexp", format!("axis {axis} of {} is empty", self.shape())));
        }
        let last = self.rank() - 1;
        let x = self.transpose(axis, last)?;
        let shape = self.shape().without_axis(axis);
        let out = Tensor::output(&x.shape().without_axis(last), self.dtype, self.device())?;
        let y = match self.device().run(&Call::Logsumexp(LogsumexpCall { out: out.out(), x: x.view() }))? {
            Ran::Done => out.unsqueeze(last)?,
            Ran::NotHere => composed_logsumexp(&x)?,
        };
        y.transpose(axis, last)?.reshape(shape)
    }

    /// [`Tensor::logsumexp`] with the axis kept at size 1.
    ///
    /// # Errors
    /// As [`Tensor::logsumexp`].
    pub fn logsumexp_keepdim(&self, axis: impl IntoAxis) -> Result<Tensor> {
        let axis = axis_index("logsumexp", axis, self.shape())?;
        self.logsumexp(axis)?.unsqueeze(axis)
    }

    /// The gradient of a softmax along the last axis, of which this is the output: y·(dy − Σ y·dy), or dy − exp(y)·Σ dy. `None`
    /// where the device has no kernel for it: then it is the derivative of [`crate::composed::softmax`].
    ///
    /// # Errors
    /// A gradient of another shape, dtype or device.
    pub fn softmax_grad(&self, kind: SoftmaxKind, dy: &Tensor) -> Result<Option<Tensor>> {
        check_pair("softmax_grad", self, dy)?;
        if self.shape() != dy.shape() || self.rank() == 0 {
            return Err(Error::shape(
                "softmax_grad",
                format!("{} has a gradient of shape {}", self.shape(), dy.shape()),
            ));
        }
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        let call = SoftmaxGradCall { kind, out: out.out(), y: self.view(), dy: dy.view() };
        let ran = self.device().run(&Call::SoftmaxGrad(call))?;
        Ok((ran == Ran::Done).then_some(out))
    }
}
