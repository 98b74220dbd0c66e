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

/// The composed form: exp(x − max) / Σ exp(x − max) along the last axis, or its logarithm.
///
/// # Errors
/// Those of the operations.
pub fn composed<T: Arithmetic>(kind: SoftmaxKind, x: &T) -> Result<T> {
    if x.value().elements() == 0 {
        return Ok(x.clone());
    }
    let last = [x.value().rank() - 1];
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
