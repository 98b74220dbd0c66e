//! The cross-entropy of a product's rows, of which only some exist at a time: the last layer of a model over a large vocabulary.

use super::{Tensor, check_device, check_pair};
use crate::tensor::matmul::MatmulOptions;
use crate::{Arithmetic, DType, Error, ErrorKind, Result, ScatterOp, Shape, unsupported_dtype};
use kiln_math::{K_BLOCK, UnaryOp};

/// How many logits exist at a time: 16 MiB of f32. [`K_BLOCK`] rows are made at least.
const LOGITS_AT_ONCE: usize = 1 << 22;

/// What is added to the cross-entropy of labels.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CrossEntropyOptions {
    smoothing: f64,
    z_loss: f64,
}

impl CrossEntropyOptions {
    /// Nothing: ln Σ exp(x) − x\[label\].
    pub const fn new() -> Self {
        CrossEntropyOptions { smoothing: 0.0, z_loss: 0.0 }
    }

    /// Label smoothing s in [0, 1): ln Σ exp(x) − (1 − s)·x\[label\] − s·mean(x).
    #[must_use]
    pub const fn label_smoothing(self, smoothing: f64) -> Self {
        CrossEntropyOptions { smoothing, ..self }
    }

    /// Adds factor·(ln Σ exp(x))², which keeps logits from drifting away (z-loss, PaLM 2022).
    #[must_use]
    pub const fn z_loss(self, factor: f64) -> Self {
        CrossEntropyOptions { z_loss: factor, ..self }
    }

    /// Checks the settings, for errors of this operation.
    ///
    /// # Errors
    /// A smoothing that is not in [0, 1); a factor below 0 or not finite.
    pub fn check(self, operation: &'static str) -> Result<()> {
        let Self { smoothing, z_loss } = self;
        if !(0.0..1.0).contains(&smoothing) {
            let message = format!("a label smoothing of at least 0 and below 1 is expected, got {smoothing}");
            return Err(Error::value(operation, message));
        }
        if !(0.0..f64::INFINITY).contains(&z_loss) {
            let message = format!("a factor of the z-loss of 0 or more and finite is expected, got {z_loss}");
            return Err(Error::value(operation, message));
        }
        Ok(())
    }
}

/// What the rows of [`Tensor::linear_cross_entropy`] are compared with.
#[derive(Clone, Copy, Debug)]
pub struct VocabularyTarget<'a> {
    /// (n,) of integers, each a class.
    pub labels: &'a Tensor,
    /// (n,): what each row's loss is multiplied by in the sum; without it by 1.
    pub factors: Option<&'a Tensor>,
    /// What is added to the cross-entropy.
    pub options: CrossEntropyOptions,
}

/// The sum of the losses, and its gradients as far as they were asked for: of the hidden states, the weight and the bias.
#[derive(Debug)]
pub struct LinearCrossEntropy {
    /// One number.
    pub loss: Tensor,
    /// Each of its operand's shape.
    pub gradients: [Option<Tensor>; 3],
}

/// The composed form: all logits at once.
///
/// # Errors
/// Those of the operations.
pub fn composed<T: Arithmetic>(hidden: &T, weight: &T, bias: Option<&T>, target: &VocabularyTarget<'_>) -> Result<T> {
    let CrossEntropyOptions { smoothing, z_loss } = target.options;
    let mut x = hidden.matmul(&weight.transpose(0, 1)?)?;
    if let Some(bias) = bias {
        x = x.add(bias)?;
    }
    let rows = x.shape()[0];
    let labels = target.labels.to_dtype(DType::I64)?.reshape([rows, 1])?;
    let log = super::softmax::composed_logsumexp(&x)?;
    let mut each = log.sub(&x.gather(1, &labels)?.affine(1.0 - smoothing, 0.0)?)?;
    if smoothing > 0.0 {
        each = each.sub(&x.mean_keepdim(&[1])?.affine(smoothing, 0.0)?)?;
    }
    if z_loss > 0.0 {
        each = each.add(&log.map(UnaryOp::Square)?.affine(z_loss, 0.0)?)?;
    }
    if let Some(factors) = target.factors {
        each = each.mul(&T::constant(factors.reshape([rows, 1])?))?;
    }
    each.sum_keepdim(&[0, 1])?.reshape(Shape::SCALAR)
}

/// How many rows of logits are made at a time. It follows from the number of classes alone, and blocks of sums end where parts do, so
/// that the gradient of the weight has the bits of one product.
fn rows_at_once(classes: usize) -> usize {
    K_BLOCK * (LOGITS_AT_ONCE / (K_BLOCK * classes.max(1))).max(1)
}

impl Tensor {
    /// Σ factor · cross-entropy of the rows of `self · weightᵀ + bias` (n, classes), without all of these logits at once: some rows
    /// are made at a time, and so are their gradients, here in the forward pass, as the logits would have to be made once more
    /// later. `self` is (n, width), f32 or f64, `weight` (classes, width) and `bias` (classes,) of the same dtype. The gradients of the
    /// operands, as far as they are `wanted`, are those of the sum.
    ///
    /// A row of factor 0 is computed all the same.
    ///
    /// # Errors
    /// Shapes, dtypes or devices that do not fit, a label out of range (with its row), options that make no sense.
    pub fn linear_cross_entropy(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        target: &VocabularyTarget<'_>,
        wanted: [bool; 3],
    ) -> Result<LinearCrossEntropy> {
        let classes = self.check_vocabulary(weight, bias, target)?;
        let (count, labels) = (self.dims()[0], target.labels.to_dtype(DType::I64)?);
        let factors = match target.factors {
            Some(factors) => factors.to_dtype(self.dtype)?,
            None => Tensor::ones([count], self.dtype, self.device())?,
        };
        let [of_hidden, of_weight, of_bias] = wanted;
        let like = |wanted: bool, x: Option<&Tensor>| {
            x.filter(|_| wanted).map(|x| Tensor::zeros(x.shape(), x.dtype, x.device())).transpose()
        };
        let mut all = LinearCrossEntropy {
            loss: Tensor::zeros((), self.dtype, self.device())?,
            gradients: [like(of_hidden, Some(self))?, like(of_weight, Some(weight))?, like(of_bias, bias)?],
        };
        let step = rows_at_once(classes);
        for first in (0..count).step_by(step) {
            let rows = first..(first + step).min(count);
            let part = |x: &Tensor| x.slice(0, rows.clone());
            let own = VocabularyTarget { labels: &part(&labels)?, factors: Some(&part(&factors)?), ..*target };
            let x = part(self)?;
            let logits = x.matmul_with(&weight.t()?, MatmulOptions { bias, activation: None })?;
            let (loss, slope) = logits.losses(&own, wanted.contains(&true))?;
            all.loss.add_assign(&loss)?;
            drop(logits);
            let Some(slope) = slope else { continue };
            let [of_hidden, of_weight, of_bias] = &mut all.gradients;
            if let Some(sum) = of_hidden {
                sum.slice_assign(0, rows.clone(), &slope.matmul(weight)?)?;
            }
            if let Some(sum) = of_weight {
                sum.add_matmul(&slope.t()?, &x)?;
            }
            if let Some(sum) = of_bias {
                sum.add_assign(&slope.sum(0)?)?;
            }
        }
        Ok(all)
    }

    /// Σ factor · loss of these logits, and its gradient with respect to them where it is wanted:
    /// factor · (softmax(x)·(1 + 2·z·ln Σ exp(x)) − (1 − s)·onehot − s/classes).
    fn losses(&self, target: &VocabularyTarget<'_>, wanted: bool) -> Result<(Tensor, Option<Tensor>)> {
        let VocabularyTarget { labels, options: CrossEntropyOptions { smoothing, z_loss }, .. } = *target;
        let ones = Tensor::ones(labels.shape(), self.dtype, self.device())?;
        let factors = target.factors.unwrap_or(&ones);
        let classes = self.dims()[1];
        // ln Σ exp(x) − x[label]
        let mut each = self.cross_entropy(labels)?;
        let (mut pull, places) = (factors.clone(), labels.unsqueeze(1)?);
        if smoothing > 0.0 {
            let less_mean = self.gather(1, &places)?.squeeze(1)?.sub(&self.mean(1)?)?;
            each = each.add(&less_mean.mul_scalar(smoothing)?)?;
        }
        if z_loss > 0.0 {
            let log = self.logsumexp(1)?;
            each = each.add(&log.square()?.mul_scalar(z_loss)?)?;
            pull = factors.mul(&log.affine(2.0 * z_loss, 1.0)?)?;
        }
        let loss = each.mul(factors)?.sum_all()?;
        if !wanted {
            return Ok((loss, None));
        }
        // pull · (softmax(x) − onehot), and what that has too little at the labels.
        let mut slope = match self.cross_entropy_grad(labels, &pull)? {
            Some(slope) => slope,
            None => self.softmax(1)?.sub(&labels.one_hot(classes)?.to_dtype(self.dtype)?)?.mul(&pull.unsqueeze(1)?)?,
        };
        if smoothing > 0.0 || z_loss > 0.0 {
            let missing = pull.sub(&factors.mul_scalar(1.0 - smoothing)?)?.unsqueeze(1)?;
            slope.scatter_assign(ScatterOp::Add, 1, &places, &missing)?;
        }
        if smoothing > 0.0 {
            slope.add_assign(
                &factors.mul_scalar(-smoothing / classes as f64)?.unsqueeze(1)?.broadcast_to(self.shape())?,
            )?;
        }
        Ok((loss, Some(slope)))
    }

    /// Checks the operands, and gives the number of classes.
    fn check_vocabulary(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        &VocabularyTarget { labels, factors, options }: &VocabularyTarget<'_>,
    ) -> Result<usize> {
        const NAME: &str = "linear_cross_entropy";
        options.check(NAME)?;
        check_pair(NAME, self, weight)?;
        check_device(NAME, self, labels)?;
        if !matches!(self.dtype, DType::F32 | DType::F64) {
            return Err(unsupported_dtype(NAME, self.dtype, "f32 or f64"));
        }
        if !labels.dtype.is_integer() {
            return Err(unsupported_dtype(NAME, labels.dtype, "labels of integers"));
        }
        let misfit = |expected: &str, found: &Tensor| {
            Err(Error::shape(NAME, format!("{expected} is expected, got {}", found.shape())))
        };
        let &[count, width] = self.dims() else { return misfit("hidden states (n, width)", self) };
        let classes = match *weight.dims() {
            [classes, inputs] if inputs == width && classes > 0 => classes,
            _ => return misfit(&format!("a weight (classes, {width})"), weight),
        };
        if let Some(bias) = bias {
            check_pair(NAME, self, bias)?;
            if bias.dims() != [classes] {
                return misfit(&format!("a bias ({classes},)"), bias);
            }
        }
        if labels.dims() != [count] {
            return misfit(&format!("labels ({count},)"), labels);
        }
        if let Some(factors) = factors {
            check_device(NAME, self, factors)?;
            if factors.dims() != [count] {
                return misfit(&format!("factors ({count},)"), factors);
            }
        }
        labels.check_classes(classes)?;
        Ok(classes)
    }

    /// Checks that each label is a class, where the labels are in the host's memory.
    fn check_classes(&self, classes: usize) -> Result<()> {
        if !self.device().backend().is_host() {
            return Ok(());
        }
        let labels = self.to_dtype(DType::I64)?.to_vec::<i64>()?;
        let Some(row) = labels.iter().position(|label| !(0..classes as i64).contains(label)) else { return Ok(()) };
        let message = format!("row {row} has label {}, expected 0 to {}", labels[row], classes - 1);
        Err(Error::new(ErrorKind::Index, "linear_cross_entropy", message))
    }
}
