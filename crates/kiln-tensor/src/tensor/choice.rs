//! Choosing among classes at random.
//!
//! Each class is given an exponential time of its own, divided by its weight; the first one is chosen. That needs no sum over the
//! classes, so that it works with logits as well as with weights, and the first k are k draws without replacement.

use super::Tensor;
use crate::{DType, Error, Result, Shape, unsupported_dtype};
use kiln_math::{RandomStream, UnaryOp};

impl Tensor {
    /// Of each row of logits (…, classes) the number of a class, drawn with probability softmax(logits): i64 (…). A class of −∞ is never
    /// drawn unless all are.
    ///
    /// # Errors
    /// A dtype that is not a float type, no axes, no classes.
    pub fn categorical(&self, stream: RandomStream) -> Result<Tensor> {
        self.expect_classes("categorical")?;
        self.to_dtype(DType::F64)?.with_times(self.shape(), stream)?.argmax(-1)
    }

    /// Of each row of weights (…, classes), which need not add up to 1, the numbers of `count` classes in the order in which they are
    /// drawn: i64 (…, count). With replacement each is drawn with a probability proportional to its weight, without it among those that
    /// were not drawn before.
    ///
    /// # Errors
    /// A dtype that is not a float type, no axes, no classes, more draws without replacement than classes; where the host can see
    /// them, a weight that is negative or NaN, and fewer classes of a weight above 0 than there are draws without replacement.
    pub fn multinomial(&self, count: usize, replacement: bool, stream: RandomStream) -> Result<Tensor> {
        let classes = self.expect_classes("multinomial")?;
        if !replacement && count > classes {
            return Err(Error::value(
                "multinomial",
                format!("{count} draws without replacement are more than the {classes} classes of {}", self.shape()),
            ));
        }
        self.check_weights(classes, if replacement { count.min(1) } else { count })?;
        let logits = self.to_dtype(DType::F64)?.unary(UnaryOp::Ln.into())?;
        if replacement {
            let last = self.rank() - 1;
            return logits.unsqueeze(last)?.with_times(&self.shape().with_axis(last, count)?, stream)?.argmax(-1);
        }
        let mut times = logits.with_times(self.shape(), stream)?;
        let (numbers, gone) =
            (Tensor::arange(classes, self.device())?, Tensor::full((), f64::NEG_INFINITY, DType::F64, self.device())?);
        let mut drawn = Vec::with_capacity(count);
        for _ in 0..count {
            let first = times.argmax(-1)?.unsqueeze(-1)?;
            times = Tensor::select(&numbers.eq(&first)?, &gone, &times)?;
            drawn.push(first);
        }
        if drawn.is_empty() {
            return Tensor::zeros(self.shape().with_size(self.rank() - 1, 0)?, DType::I64, self.device());
        }
        Tensor::concat(&drawn.iter().collect::<Vec<_>>(), -1)
    }

    /// Logits less the logarithms of exponential times, of which the largest belongs to the class that comes first.
    fn with_times(&self, shape: &Shape, stream: RandomStream) -> Result<Tensor> {
        let times = Tensor::exponential(shape, 1.0, DType::F64, self.device(), stream)?;
        self.sub(&times.into_unary(UnaryOp::Ln.into())?)
    }

    /// The size of the axis of classes.
    fn expect_classes(&self, operation: &'static str) -> Result<usize> {
        if !self.dtype.is_float() {
            return Err(unsupported_dtype(operation, self.dtype, "f32, f64, f16 or bf16"));
        }
        match self.dims().last() {
            Some(&classes) if classes > 0 => Ok(classes),
            _ => {
                Err(Error::shape(operation, format!("rows of classes (…, classes) are expected, got {}", self.shape())))
            }
        }
    }

    /// Checks weights of which at least `needed` of each row must be above 0.
    fn check_weights(&self, classes: usize, needed: usize) -> Result<()> {
        if !self.device().backend().is_host() {
            return Ok(());
        }
        for (row, weights) in self.to_f64_vec()?.chunks(classes).enumerate() {
            if let Some(wrong) = weights.iter().find(|weight| !(0.0..f64::INFINITY).contains(*weight)) {
                let message = format!("row {row} has the weight {wrong}, expected finite numbers of 0 or more");
                return Err(Error::value("multinomial", message));
            }
            let positive = weights.iter().filter(|&&weight| weight > 0.0).count();
            if positive < needed {
                let message = format!("row {row} has {positive} weights above 0, at least {needed} are needed");
                return Err(Error::value("multinomial", message));
            }
        }
        Ok(())
    }
}
