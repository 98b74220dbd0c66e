//! Softmax, its logarithm, and the cross-entropy of logits.

use super::{Tensor, axis_index, check_device, check_pair};
use crate::{DType, Error, ErrorKind, Result, Shape, SoftmaxKind, unsupported_dtype};

impl Tensor {
    fn normalised(&self, kind: SoftmaxKind, axis: isize) -> Result<Tensor> {
        let axis = axis_index("softmax", axis, self.shape())?;
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("softmax", self.dtype, "f32, f64, f16 or bf16"));
        }
        let last = self.rank() - 1;
        if axis != last {
            return self.transpose(axis, last)?.normalised(kind, -1)?.transpose(axis, last);
        }
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        self.device().backend().softmax(kind, out.out(), self.view())?;
        Ok(out)
    }

    /// exp(xᵢ) / Σ exp(xⱼ) along `axis` (negative: from the end), computed without overflow.
    ///
    /// # Errors
    /// An axis out of range, a dtype that is not a float type.
    pub fn softmax(&self, axis: isize) -> Result<Tensor> {
        self.normalised(SoftmaxKind::Softmax, axis)
    }

    /// xᵢ − ln Σ exp(xⱼ) along `axis`.
    ///
    /// # Errors
    /// An axis out of range, a dtype that is not a float type.
    pub fn log_softmax(&self, axis: isize) -> Result<Tensor> {
        self.normalised(SoftmaxKind::LogSoftmax, axis)
    }

    /// The gradient of a softmax along the last axis, of which this is the output: y·(dy − Σ y·dy), or dy − exp(y)·Σ dy.
    ///
    /// # Errors
    /// A gradient of another shape, dtype or device.
    pub fn softmax_grad(&self, kind: SoftmaxKind, dy: &Tensor) -> Result<Tensor> {
        check_pair("softmax_grad", self, dy)?;
        if self.shape() != dy.shape() || self.rank() == 0 {
            return Err(Error::shape(
                "softmax_grad",
                format!("{} has a gradient of shape {}", self.shape(), dy.shape()),
            ));
        }
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        self.device().backend().softmax_grad(kind, out.out(), self.view(), dy.view())?;
        Ok(out)
    }

    /// Checks what logits are held against.
    fn check_target(&self, target: &Tensor) -> Result<()> {
        check_device("cross_entropy", self, target)?;
        if !self.dtype.is_float() {
            return Err(unsupported_dtype("cross_entropy", self.dtype, "logits of f32, f64, f16 or bf16"));
        }
        let [rows, classes] = *self.dims() else {
            return Err(Error::shape(
                "cross_entropy",
                format!("logits of shape (n, classes) are expected, got {}", self.shape()),
            ));
        };
        let fits = match target.dtype {
            DType::I64 | DType::U8 => target.dims() == [rows],
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
                "logits {} {} take labels i64 or u8 of shape ({rows},), or weights {} of shape ({rows}, {classes}); got {} {}",
                self.dtype,
                self.shape(),
                self.dtype,
                target.dtype,
                target.shape()
            ),
        ))
    }

    /// Half-type logits, and weights of their type, as f32: the whole is computed there and rounded once.
    fn widened(&self, target: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
        if !matches!(self.dtype, DType::F16 | DType::BF16) {
            return Ok(None);
        }
        let target = if target.dtype.is_float() { target.to_dtype(DType::F32)? } else { target.clone() };
        Ok(Some((self.to_dtype(DType::F32)?, target)))
    }

    /// The cross-entropy of each row of logits, (n,): ln Σ exp(x) − x\[label\] for labels i64 or u8 (n,), or
    /// −Σ t · log_softmax(x) for targets (n, classes) of the logits' dtype.
    ///
    /// # Errors
    /// Shapes that do not fit, a label out of range (with its row), a dtype that is neither.
    pub fn cross_entropy(&self, target: &Tensor) -> Result<Tensor> {
        self.check_target(target)?;
        if self.elements() == 0 {
            return Tensor::zeros(&self.dims()[..1], self.dtype, self.device()); // no rows, or sums over no classes
        }
        if let Some((logits, target)) = self.widened(target)? {
            return logits.cross_entropy(&target)?.to_dtype(self.dtype);
        }
        let (logits, target) = (self.contiguous()?, target.contiguous()?);
        let out = Tensor::output(&Shape::new(&self.dims()[..1])?, self.dtype, self.device())?;
        self.device().backend().cross_entropy(out.out(), logits.view(), target.view())?;
        Ok(out)
    }

    /// The gradient of [`Tensor::cross_entropy`] with respect to these logits: dy (n,) times softmax(x) · Σ t − t.
    ///
    /// # Errors
    /// As [`Tensor::cross_entropy`], or a gradient that is not of shape (n,).
    pub fn cross_entropy_grad(&self, target: &Tensor, dy: &Tensor) -> Result<Tensor> {
        self.check_target(target)?;
        check_pair("cross_entropy_grad", self, dy)?;
        if dy.dims() != &self.dims()[..1] {
            return Err(Error::shape(
                "cross_entropy_grad",
                format!("{} has a gradient of {}", self.shape(), dy.shape()),
            ));
        }
        if self.elements() == 0 {
            return Ok(self.clone());
        }
        if let Some((logits, target)) = self.widened(target)? {
            return logits.cross_entropy_grad(&target, &dy.to_dtype(DType::F32)?)?.to_dtype(self.dtype);
        }
        let (logits, target) = (self.contiguous()?, target.contiguous()?);
        let out = Tensor::output(self.shape(), self.dtype, self.device())?;
        self.device().backend().cross_entropy_grad(out.out(), logits.view(), target.view(), dy.view())?;
        Ok(out)
    }
}
