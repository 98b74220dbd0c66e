//! Cross-entropies of classes.

use super::rows::{Rows, without};
use super::{Counting, Loss, Reduction, is_label, projected};
use crate::{ClassAxis, Projection};
use kiln_autograd::Var;
use kiln_tensor::{CrossEntropyOptions, DType, Error, ErrorKind, Result, Shape, Tensor};

/// −ln p of the label, of predictions (n, classes) and labels (n,) of integers; of sequences (n, T, classes) and
/// labels (n, T); of maps (n, classes, H, W) and labels (n, H, W). Where the classes are: [`ClassAxis`].
///
/// Keras's default takes probabilities. Where they are the output of a softmax, its logits are used
/// ([`Var::origin`]), so that `Dense::new(10).activation(Activation::Softmax)` with
/// [`SparseCategoricalCrossentropy::new`] is as exact and as fast as logits with
/// [`SparseCategoricalCrossentropy::from_logits`], in training and in evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
    axis: ClassAxis,
    smoothing: f64,
    ignored: Option<i64>,
    z_loss: f64,
}

/// −Σ t·ln p over the classes, of predictions and targets of the same shape: one-hot, or any distributions. Where the
/// classes are: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    axis: ClassAxis,
    smoothing: f64,
}

macro_rules! constructors {
    ($($loss:ident $($own:ident: $none:expr),*;)+) => {$(
        impl $loss {
            /// Of probabilities.
            pub const fn new() -> Self {
                $loss { from_logits: false, axis: ClassAxis::BY_RANK, smoothing: 0.0 $(, $own: $none)* }
            }
            /// Of logits: what a last layer without softmax gives.
            pub const fn from_logits() -> Self {
                $loss { from_logits: true, ..$loss::new() }
            }
            /// Label smoothing s in [0, 1): targets become t·(1 − s) + s/classes (Szegedy et al. 2016;
            /// `label_smoothing` of Keras and PyTorch). Another s is an error when the loss is computed.
            #[must_use]
            pub const fn label_smoothing(self, smoothing: f64) -> Self {
                $loss { smoothing, ..self }
            }
            /// The axis of classes; the batch is axis 0, negative ones count from the end. By default it is the last
            /// one, and axis 1 for maps (rank 4 and more).
            #[must_use]
            pub const fn axis(self, axis: isize) -> Self {
                $loss { axis: ClassAxis::at(axis), ..self }
            }
            fn rows<'p>(&self, prediction: &'p Var) -> Result<Rows<'p>> {
                Rows::new(self.name(), prediction, self.axis, self.from_logits)
            }
        }
    )+};
}
constructors! {
    SparseCategoricalCrossentropy ignored: None, z_loss: 0.0;
    CategoricalCrossentropy;
}

impl SparseCategoricalCrossentropy {
    /// A label that is ignored: its loss and gradient are 0, and it does not count in means or metrics (Keras's
    /// `ignore_class`, PyTorch's `ignore_index`, which is −100 by default there; here no label is ignored by
    /// default). If all labels are ignored, the mean is 0.
    #[must_use]
    pub const fn ignore_index(self, label: i64) -> Self {
        SparseCategoricalCrossentropy { ignored: Some(label), ..self }
    }

    /// Adds factor·(ln Σ exp(x))² of each target's logits x, which keeps them from drifting away (z-loss; PaLM takes 1e-4). There must
    /// be logits: [`SparseCategoricalCrossentropy::from_logits`], or the output of a softmax.
    #[must_use]
    pub const fn z_loss(self, factor: f64) -> Self {
        SparseCategoricalCrossentropy { z_loss: factor, ..self }
    }

    fn options(&self) -> CrossEntropyOptions {
        CrossEntropyOptions::new().label_smoothing(self.smoothing).z_loss(self.z_loss)
    }

    /// One loss a row, with the z-loss.
    fn of_rows(&self, rows: &Rows<'_>, labels: &Tensor) -> Result<Var> {
        let each = rows.against_labels(labels, self.smoothing)?;
        if self.z_loss == 0.0 {
            return Ok(each);
        }
        each.add(&rows.shaped(rows.log_sum()?.square()?.mul_scalar(self.z_loss)?)?)
    }
}

impl Loss for SparseCategoricalCrossentropy {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        self.options().check(self.name())?;
        let target = target.tensor();
        if !is_label(target.dtype()) {
            return Err(Error::new(
                ErrorKind::DType,
                self.name(),
                format!(
                    "labels of integers are expected, got {} {}; for one-hot targets use CategoricalCrossentropy",
                    target.dtype(),
                    target.shape()
                ),
            ));
        }
        let rows = self.rows(prediction)?;
        let leading = rows.leading();
        // Keras's labels may keep an axis of one class: (n, 1).
        let kept = target.rank() == prediction.shape().rank()
            && target.dims()[rows.axis] == 1
            && without(target.dims(), rows.axis) == leading;
        if target.dims() != leading && !kept {
            return Err(rows.misfit(target));
        }
        let flat = if target.rank() == 1 { target.clone() } else { target.reshape([target.elements()])? };
        let Some(counts) = self.counts(&flat)? else { return self.of_rows(&rows, &flat) };
        let zero = Tensor::zeros((), flat.dtype(), flat.device())?;
        let each = self.of_rows(&rows, &Tensor::select(&counts, &flat, &zero)?)?;
        let zero = Var::constant(Tensor::zeros((), each.dtype(), each.device())?);
        Var::select(&counts.reshape(*each.shape())?, &each, &zero)
    }
    fn counts(&self, target: &Tensor) -> Result<Option<Tensor>> {
        let Some(label) = self.ignored.filter(|_| is_label(target.dtype())) else { return Ok(None) };
        let target = target.to_dtype(DType::I64)?;
        target.ne(&Tensor::scalar(label, target.device())?).map(Some)
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.axis.of(self.name(), prediction).map(Some)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        target.to_dtype(DType::I64)
    }
    fn of_projection(
        &self,
        output: &Projection,
        target: &Tensor,
        counting: Counting<'_>,
        reduction: Reduction,
    ) -> Result<Option<Var>> {
        let last = self.axis.of(self.name(), output.shape())? + 1 == output.shape().rank();
        if output.is_softmax() == self.from_logits || !last {
            return Ok(None);
        }
        self.options().check(self.name())?;
        projected::reduced(self, output, target, counting, reduction, self.options())
    }
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy"
    }
}

impl Loss for CategoricalCrossentropy {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        CrossEntropyOptions::new().label_smoothing(self.smoothing).check(self.name())?;
        let rows = self.rows(prediction)?;
        let mut target = rows.distributions(target)?;
        if self.smoothing > 0.0 {
            target = target.affine(1.0 - self.smoothing, self.smoothing / rows.classes().max(1) as f64)?;
        }
        if target.requires_grad() { rows.against_var(&target) } else { rows.against(target.tensor()) }
    }
    fn class_axis(&self, prediction: &Shape) -> Result<Option<usize>> {
        self.axis.of(self.name(), prediction).map(Some)
    }
    fn labels(&self, target: &Tensor) -> Result<Tensor> {
        target.argmax(self.axis.of("class_weight", target.shape())?)
    }
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }
}
