//! The cross-entropy of logits, fused with the softmax before it.

use super::softmax::{SoftmaxKind, composed as softmax};
use super::{Tensor, check_device, check_pair};
use crate::{Arithmetic, Call, DType, Error, ErrorKind, Out, Ran, Result, Shape, View, unsupported_dtype};

/// Softmax cross-entropy of each row: ln Σ exp(logits) − logits\[label\] for labels, −Σ target · log_softmax(logits) for weights.
///
/// A label out of range is an error where the backend can see it, a fault of the device elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyCall<'a> {
    /// (n,) of the logits' dtype.
    pub out: Out<'a>,
    /// (n, classes), row-major, f32 or f64; n and classes are at least 1.
    pub logits: View<'a>,
    /// Labels i64 or u8 (n,), or weights (n, classes) of the logits' dtype; row-major.
    pub target: View<'a>,
}

/// The gradient of a cross-entropy with respect to the logits: dy · (softmax(logits) · Σ target − target).
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyGradCall<'a> {
    /// (n, classes) of the logits' dtype.
    pub out: Out<'a>,
    /// As in [`CrossEntropyCall`].
    pub logits: View<'a>,
    /// As in [`CrossEntropyCall`].
    pub target: View<'a>,
    /// (n,), any stride.
    pub dy: View<'a>,
}

/// The composed form: −Σ t · log_softmax(x) of each row.
///
/// # Errors
/// Logits that are not (n, classes), a label out of range; those of the operations.
pub fn composed<T: Arithmetic>(logits: &T, target: &Tensor) -> Result<T> {
    let [rows, classes] = logits.value().rows_and_classes()?;
    logits.in_wide(|x| {
        let weights = if target.dtype.is_float() { target.clone() } else { target.one_hot(classes)? };
        let weights = weights.to_dtype(x.value().dtype)?;
        let zero = Tensor::zeros((), weights.dtype, weights.device())?;
        // A class of weight 0 counts for nothing, also where its logarithm is −∞.
        let none = weights.eq(&zero)?;
        let each = softmax(SoftmaxKind::LogSoftmax, x)?.mul(&T::constant(weights))?;
        let each = T::select(&none, &T::constant(zero), &each)?;
        each.sum_keepdim(&[1])?.affine(-1.0, 0.0)?.reshape(Shape::new(&[rows])?)
    })
}

impl Tensor {
    fn rows_and_classes(&self) -> Result<[usize; 2]> {
        self.dims().try_into().map_err(|_| {
            Error::shape("cross_entropy", format!("logits of shape (n, classes) are expected, got {}", self.shape()))
        })
    }

    /// Checks what logits are held against.
    fn check_target(&self, target: &Tensor) -> Result<()> {
        check_device("cross_entropy", self, target)?;
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("cross_entropy", self.dtype, "logits of f32, f64, f16 or bf16"));
        }
        let [rows, classes] = self.rows_and_classes()?;
        let fits = match target.dtype {
            dtype if dtype.is_integer() => target.dims() == [rows],
            dtype => dtype == self.dtype && target.dims() == [rows, classes],
        };
        if fits && classes == 0 && rows > 0 && !target.dtype.is_float() {
            return Err(Error::new(ErrorKind::Index, "cross_entropy", "row 0 has a label, the model has 0 outputs"));
        }
        if fits {
            return Ok(());
        }
        Err(Error::shape(
            "cross_entropy",
            format!(
                "logits {} {} take labels of integers of shape ({rows},), or weights {} of shape ({rows}, {classes}); got {} {}",
                self.dtype,
                self.shape(),
                self.dtype,
                target.dtype,
                target.shape()
            ),
        ))
    }

    /// The cross-entropy of each row of logits, (n,): ln Σ exp(x) − x\[label\] for labels (n,) of integers, or
    /// −Σ t · log_softmax(x) for targets (n, classes) of the logits' dtype.
    ///
    /// # Errors
    /// Shapes that do not fit, a label out of range (with its row), a dtype that is neither.
    pub fn cross_entropy(&self, target: &Tensor) -> Result<Tensor> {
        self.check_target(target)?;
        if self.elements() == 0 {
            return Tensor::zeros(&self.dims()[..1], self.dtype, self.device()); // no rows, or sums over no classes
        }
        self.in_wide(|logits| {
            let target = logits.as_target(target)?;
            let logits = logits.contiguous()?;
            let out = Tensor::output(&Shape::new(&self.dims()[..1])?, logits.dtype, self.device())?;
            let call = CrossEntropyCall { out: out.out(), logits: logits.view(), target: target.view() };
            match self.device().run(&Call::CrossEntropy(call))? {
                Ran::Done => Ok(out),
                Ran::NotHere => composed(&logits, &target),
            }
        })
    }

    /// The target as a kernel of these logits takes it: weights in their dtype, labels i64 or u8.
    fn as_target(&self, target: &Tensor) -> Result<Tensor> {
        let dtype = match target.dtype {
            DType::U8 => DType::U8,
            dtype if dtype.is_float() => self.dtype,
            _ => DType::I64,
        };
        target.to_dtype(dtype)?.contiguous()
    }

    /// The gradient of [`Tensor::cross_entropy`] with respect to these logits: dy (n,) times softmax(x) · Σ t − t. `None` where
    /// the device has no kernel for it: then it is the derivative of [`crate::composed::cross_entropy`].
    ///
    /// # Errors
    /// As [`Tensor::cross_entropy`], or a gradient that is not of shape (n,).
    pub fn cross_entropy_grad(&self, target: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        self.check_target(target)?;
        check_pair("cross_entropy_grad", self, dy)?;
        if dy.dims() != &self.dims()[..1] {
            return Err(Error::shape(
                "cross_entropy_grad",
                format!("{} has a gradient of {}", self.shape(), dy.shape()),
            ));
        }
        if self.elements() == 0 {
            return Ok(Some(self.clone()));
        }
        let wide = self.dtype.computed_in();
        let (logits, dy) = (self.to_dtype(wide)?.contiguous()?, dy.to_dtype(wide)?);
        let target = logits.as_target(target)?;
        let out = Tensor::output(self.shape(), wide, self.device())?;
        let call = CrossEntropyGradCall { out: out.out(), logits: logits.view(), target: target.view(), dy: dy.view() };
        match self.device().run(&Call::CrossEntropyGrad(call))? {
            Ran::Done => out.to_dtype(self.dtype).map(Some),
            Ran::NotHere => Ok(None),
        }
    }
}
