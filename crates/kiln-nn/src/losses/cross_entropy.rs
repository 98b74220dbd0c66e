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
}

/// −Σ t·ln p over the classes, of predictions and targets of the same shape: one-hot, or any distributions. Where the classes
/// are: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    axis: ClassAxis,
}

macro_rules! constructors {
    ($($loss:ident),+) => {$(
        impl $loss {
            /// Of probabilities.
            pub const fn new() -> Self {
                $loss { from_logits: false, axis: ClassAxis::BY_RANK }
            }
            /// Of logits: what a last layer without softmax gives.
            pub const fn from_logits() -> Self {
                $loss { from_logits: true, axis: ClassAxis::BY_RANK }
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
constructors!(SparseCategoricalCrossentropy, CategoricalCrossentropy);

/// Predictions as rows of classes.
struct Rows<'p> {
    loss: &'static str,
    prediction: &'p Var,
    /// What the loss is taken of: logits where there are some.
    scores: &'p Var,
    are_logits: bool,
    axis: usize,
    named: bool,
}

impl<'p> Rows<'p> {
    fn new(loss: &'static str, prediction: &'p Var, classes: ClassAxis, from_logits: bool) -> Result<Self> {
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

    fn classes(&self) -> usize {
        self.prediction.dims()[self.axis]
    }

    /// The shape without the axis of classes: that of the losses.
    fn leading(&self) -> Vec<usize> {
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

    /// The cross-entropies with labels (count,) or distributions (count, classes), computed in f32 or f64.
    fn against(&self, target: &Tensor) -> Result<Var> {
        let (leading, classes) = (self.leading(), self.classes());
        let count: usize = leading.iter().product();
        let mut rows = self.scores.clone();
        if let Some(order) = self.order() {
            // Maps are laid out anew, for a row's classes must lie side by side.
            rows = rows.permute(&order)?;
        }
        if leading.len() > 1 {
            rows = rows.reshape([count, classes])?;
        }
        let dtype = computed_in(rows.dtype());
        if !self.are_logits && dtype != rows.dtype() && rows.origin().is_none() {
            // The floor of probabilities is that of their own type.
            rows = rows.clamp(rows.dtype().smallest_normal(), f64::INFINITY)?;
        }
        let rows = rows.to_dtype(dtype)?;
        let each =
            if self.are_logits { rows.cross_entropy(target)? } else { rows.cross_entropy_from_probabilities(target)? };
        if leading.len() > 1 { each.reshape(leading) } else { Ok(each) }
    }

    /// The axis along which targets of this shape would fit as labels.
    fn fitting(&self, target: &Tensor) -> Option<usize> {
        let dims = self.prediction.dims();
        (1..dims.len()).find(|&axis| without(dims, axis) == target.dims())
    }

    #[cold]
    fn misfit(&self, target: &Tensor) -> Error {
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

impl Loss for SparseCategoricalCrossentropy {
    fn each(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
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
        if target.rank() == 1 {
            return rows.against(target);
        }
        rows.against(&target.reshape([target.elements()])?)
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
    fn each(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        let rows = self.rows(prediction)?;
        if prediction.shape() != target.shape() {
            let remedy = if is_label(target.dtype()) && target.rank() + 1 == prediction.shape().rank() {
                "; for class numbers use SparseCategoricalCrossentropy"
            } else {
                ""
            };
            return Err(Error::shape(
                self.name(),
                format!(
                    "predictions and one-hot targets of one shape are expected, with classes along axis {}, got {} and \
                     {}{remedy}",
                    rows.axis,
                    prediction.shape(),
                    target.shape()
                ),
            ));
        }
        let mut target = target.to_dtype(computed_in(prediction.dtype()))?;
        check::within(self.name(), "target", &target, 0.0, f64::MAX)?;
        if let Some(order) = rows.order() {
            target = target.permute(&order)?;
        }
        if target.rank() > 2 {
            target = target.reshape([target.elements() / rows.classes().max(1), rows.classes()])?;
        }
        rows.against(&target)
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
