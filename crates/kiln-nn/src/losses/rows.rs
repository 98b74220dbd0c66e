//! Predictions as rows of classes, which losses of classes are computed of.

use super::{check, computed_in, is_label};
use crate::ClassAxis;
use kiln_autograd::{Squash, Var};
use kiln_tensor::{Error, Result, Shape, Tensor};

/// Predictions as rows of classes.
pub(super) struct Rows<'p> {
    loss: &'static str,
    prediction: &'p Var,
    /// What the loss is taken of: logits where there are some.
    scores: &'p Var,
    are_logits: bool,
    pub(super) axis: usize,
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

    /// ln Σ exp of the logits of each row, (count,).
    pub(super) fn log_sum(&self) -> Result<Var> {
        if self.are_logits {
            return self.scores()?.logsumexp(1);
        }
        let message = "the z-loss is of logits: make the loss by `from_logits`, or let the model end with a softmax";
        Err(Error::value(self.loss, message))
    }

    /// One loss a row, in the shape of the losses.
    pub(super) fn shaped(&self, each: Var) -> Result<Var> {
        let leading = self.leading();
        if leading.len() > 1 { each.reshape(leading) } else { Ok(each) }
    }

    /// The cross-entropies with labels (count,), smoothed.
    pub(super) fn against_labels(&self, labels: &Tensor, smoothing: f64) -> Result<Var> {
        let each = self.against(labels)?;
        if smoothing == 0.0 {
            return Ok(each);
        }
        let (count, classes) = (labels.elements(), self.classes());
        let uniform = Tensor::full([count, classes], 1.0 / classes.max(1) as f64, each.dtype(), each.device())?;
        each.mul_scalar(1.0 - smoothing)?.add(&self.against(&uniform)?.mul_scalar(smoothing)?)
    }

    /// −Σ t·ln p with distributions (count, classes) that have a gradient.
    pub(super) fn against_var(&self, target: &Var) -> Result<Var> {
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
pub(super) fn without(dims: &[usize], axis: usize) -> Vec<usize> {
    let mut rest = dims.to_vec();
    rest.remove(axis);
    rest
}
