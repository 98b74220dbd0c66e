//! Cross-entropies of classes.

use super::{Loss, check, computed_in, is_label};
use crate::ClassAxis;
use kiln_autograd::{Squash, Var};
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};

/// −ln p of the label, of predictions (n, classes) and labels (n,) of integers; of sequences (n, T, classes) and labels
/// (n, T); of maps (n, classes, H, W) and labels (n, H, W). Where the classes are: [`ClassAxis`].
///
/// Keras's default takes probabilities. Where they are the output of a softmax, its logits are used ([`Var::origin`]), so that
/// `Dense::new(10).activation(Activation::Softmax)` with [`SparseCategoricalCrossentropy::new`] is as exact and as fast as
/// logits with [`SparseCategoricalCrossentropy::from_logits`], in training and in evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
    axis: ClassAxis,
    smoothing: f64,
    ignored: Option<i64>,
}

/// −Σ t·ln p over the classes, of predictions and targets of the same shape: one-hot, or any distributions. Where the classes
/// are: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    axis: ClassAxis,
    smoothing: f64,
}

macro_rules! constructors {
    ($($loss:ident $($ignore:ident)?),+) => {$(
        impl $loss {
            /// Of probabilities.
            pub const fn new() -> Self {
                $loss { from_logits: false, axis: ClassAxis::BY_RANK, smoothing: 0.0 $(, $ignore: None)? }
            }
            /// Of logits: what a last layer without softmax gives.
            pub const fn from_logits() -> Self {
                $loss { from_logits: true, ..$loss::new() }
            }
            /// Label smoothing s, at least 0 and below 1: of a target, 1 − s is kept and s is spread over all classes alike
            /// (Szegedy et al. 2016; `label_smoothing` of Keras and PyTorch). Another one is reported when the loss is computed.
            #[must_use]
            pub const fn label_smoothing(self, smoothing: f64) -> Self {
                $loss { smoothing, ..self }
            }
            /// The axis of classes, the batch's being 0; negative ones count from the end. Without it the last one, of maps
            /// (rank 4 and more) axis 1.
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
constructors!(SparseCategoricalCrossentropy ignored, CategoricalCrossentropy);

impl SparseCategoricalCrossentropy {
    /// A label that does not count: its loss is 0, no gradient comes from it, and neither means nor metrics have it in their number
    /// (Keras's `ignore_class`, PyTorch's `ignore_index`, which is −100 there by default; here there is none). Where all labels
    /// are ignored, the mean is 0.
    #[must_use]
    pub const fn ignore_index(self, label: i64) -> Self {
        SparseCategoricalCrossentropy { ignored: Some(label), ..self }
    }
}

/// Predictions as rows of classes.
pub(super) struct Rows<'p> {
    loss: &'static str,
    prediction: &'p Var,
    /// What the loss is taken of: logits where there are some.
    scores: &'p Var,
    are_logits: bool,
    axis: usize,
    named: bool,
}

impl<'p> Rows<'p> {
    pub(super) fn new(loss: &'static str, prediction: &'p Var, classes: ClassAxis, from_logits: bool) -> Result<Self> {
        if prediction.shape().rank() < 2 {
            return Err(Error::shape(
                loss,
                format!("predictions (n, classes) are expected, got {}", prediction.shape()),
            ));
        }
        let axis = classes.of(loss, prediction.shape())?;
        let (mut scores, mut are_logits) = (prediction, from_logits);
        if let Some(origin) = prediction.origin().filter(|_| !from_logits)
            && let Squash::Softmax { axis: softmax } = origin.squash()
        {
            if softmax == axis {
                (scores, are_logits) = (origin.logits(), true);
            } else if !classes.is_named() {
                return Err(Error::value(
                    loss,
                    format!(
                        "the predictions {} are a softmax along axis {softmax}, this loss takes the classes of such \
                         predictions along axis {axis}: give it the setting `.axis({softmax})`, or the softmax \
                         `.axis({axis})`",
                        prediction.shape()
                    ),
                ));
            }
        }
        Ok(Rows { loss, prediction, scores, are_logits, axis, named: classes.is_named() })
    }

    pub(super) fn classes(&self) -> usize {
        self.prediction.dims()[self.axis]
    }

    /// The shape without the axis of classes: that of the losses.
    pub(super) fn leading(&self) -> Vec<usize> {
        without(self.prediction.dims(), self.axis)
    }

    /// The axes with that of classes at the end.
    fn order(&self) -> Option<Vec<usize>> {
        let rank = self.prediction.shape().rank();
        (self.axis + 1 < rank).then(|| without(&(0..rank).collect::<Vec<_>>(), self.axis)).map(|mut order| {
            order.push(self.axis);
            order
        })
    }

    /// Targets of the predictions' shape as rows (count, classes), in the type that the loss is computed in.
    pub(super) fn distributions(&self, target: &Var) -> Result<Var> {
        let prediction = self.prediction;
        if prediction.shape() != target.shape() {
            let remedy = if is_label(target.dtype()) && target.shape().rank() + 1 == prediction.shape().rank() {
                "; for class numbers use SparseCategoricalCrossentropy"
            } else {
                ""
            };
            return Err(Error::shape(
                self.loss,
                format!(
                    "predictions and one-hot targets of one shape are expected, with classes along axis {}, got {} and \
                     {}{remedy}",
                    self.axis,
                    prediction.shape(),
                    target.shape()
                ),
            ));
        }
        let target = target.to_dtype(computed_in(prediction.dtype()))?;
        check::within(self.loss, "target", target.tensor(), 0.0, f64::MAX)?;
        self.as_rows(target)
    }

    /// What has the predictions' shape as rows (count, classes).
    fn as_rows(&self, mut values: Var) -> Result<Var> {
        if let Some(order) = self.order() {
            // Maps are laid out anew, for a row's classes must lie side by side.
            values = values.permute(&order)?;
        }
        if values.shape().rank() == 2 {
            return Ok(values);
        }
        let classes = self.classes();
        values.reshape([values.shape().elements() / classes.max(1), classes])
    }

    /// ln p of every class, (count, classes).
    pub(super) fn log_probabilities(&self) -> Result<Var> {
        let rows = self.scores()?;
        if self.are_logits {
            return rows.log_softmax(1);
        }
        rows.clamp(self.prediction.dtype().smallest_normal(), f64::INFINITY)?.ln()
    }

    /// One loss a row, in the shape of the losses.
    pub(super) fn shaped(&self, each: Var) -> Result<Var> {
        let leading = self.leading();
        if leading.len() > 1 { each.reshape(leading) } else { Ok(each) }
    }

    /// The cross-entropies with labels (count,), smoothed.
    fn against_labels(&self, labels: &Tensor, smoothing: f64) -> Result<Var> {
        let each = self.against(labels)?;
        if smoothing == 0.0 {
            return Ok(each);
        }
        let (count, classes) = (labels.elements(), self.classes());
        let uniform = Tensor::full([count, classes], 1.0 / classes.max(1) as f64, each.dtype(), each.device())?;
        each.mul_scalar(1.0 - smoothing)?.add(&self.against(&uniform)?.mul_scalar(smoothing)?)
    }

    /// −Σ t·ln p with distributions (count, classes) that have a gradient.
    fn against_var(&self, target: &Var) -> Result<Var> {
        self.shaped(target.mul(&self.log_probabilities()?)?.sum(1)?.neg()?)
    }

    /// The cross-entropies with labels (count,) or distributions (count, classes), computed in f32 or f64.
    pub(super) fn against(&self, target: &Tensor) -> Result<Var> {
        let rows = self.scores()?;
        let each =
            if self.are_logits { rows.cross_entropy(target)? } else { rows.cross_entropy_from_probabilities(target)? };
        self.shaped(each)
    }

    /// What the loss is taken of as rows (count, classes), in the type that it is computed in.
    pub(super) fn scores(&self) -> Result<Var> {
        let mut rows = self.as_rows(self.scores.clone())?;
        let dtype = computed_in(rows.dtype());
        if !self.are_logits && dtype != rows.dtype() && rows.origin().is_none() {
            // The floor of probabilities is that of their own type.
            rows = rows.clamp(rows.dtype().smallest_normal(), f64::INFINITY)?;
        }
        rows.to_dtype(dtype)
    }

    /// The axis along which targets of this shape would fit as labels.
    fn fitting(&self, target: &Tensor) -> Option<usize> {
        let dims = self.prediction.dims();
        (1..dims.len()).find(|&axis| without(dims, axis) == target.dims())
    }

    #[cold]
    pub(super) fn misfit(&self, target: &Tensor) -> Error {
        let remedy = match self.fitting(target) {
            Some(axis) if axis != self.axis => format!("; along axis {axis} they would fit: `.axis({axis})`"),
            _ => String::new(),
        };
        let which = if self.named { "axis" } else { "axis by default," };
        let expected =
            Shape::new(&self.leading()).map_or_else(|_| "labels".to_owned(), |shape| format!("labels {shape}"));
        Error::shape(
            self.loss,
            format!(
                "predictions {} with classes along {which} {} take {expected}, got {}{remedy}",
                self.prediction.shape(),
                self.axis,
                target.shape()
            ),
        )
    }
}

/// The elements but for that at `axis`.
fn without(dims: &[usize], axis: usize) -> Vec<usize> {
    let mut rest = dims.to_vec();
    rest.remove(axis);
    rest
}

/// Fails where a smoothing is not in [0, 1).
pub(super) fn check_smoothing(loss: &'static str, smoothing: f64) -> Result<()> {
    if (0.0..1.0).contains(&smoothing) {
        return Ok(());
    }
    Err(Error::value(loss, format!("a label smoothing of at least 0 and below 1 is expected, got {smoothing}")))
}

impl Loss for SparseCategoricalCrossentropy {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        check_smoothing(self.name(), self.smoothing)?;
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
        let Some(counts) = self.counts(&flat)? else { return rows.against_labels(&flat, self.smoothing) };
        let zero = Tensor::zeros((), flat.dtype(), flat.device())?;
        let each = rows.against_labels(&Tensor::select(&counts, &flat, &zero)?, self.smoothing)?;
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
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy"
    }
}

impl Loss for CategoricalCrossentropy {
    fn each(&self, prediction: &Var, target: &Var) -> Result<Var> {
        check_smoothing(self.name(), self.smoothing)?;
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
