//! Cross-entropies.

use super::{Loss, is_label, mean_per_sample, same_shape};
use kiln_autograd::Var;
use kiln_tensor::{Error, ErrorKind, Result, Tensor};

/// −ln p of the label, of predictions (n, classes) and labels (n,) of i64 or u8; also (n, …, classes) with labels (n, …), of
/// which a sample's mean is taken.
///
/// Keras's default takes probabilities. Where they come straight from a softmax, its logits are used, so that
/// `Dense::new(10).activation(Activation::Softmax)` with [`SparseCategoricalCrossentropy::new`] is as exact and as fast as
/// logits with [`SparseCategoricalCrossentropy::from_logits`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
}

/// −Σ t·ln p of predictions (n, classes) and targets of the same shape: one-hot, or any distribution.
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
}

/// −t·ln p − (1 − t)·ln(1 − p), the mean over a sample's outputs; targets in [0, 1] of the predictions' shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossentropy {
    from_logits: bool,
}

macro_rules! constructors {
    ($($loss:ident: $squash:literal),+) => {$(
        impl $loss {
            /// Of probabilities.
            pub const fn new() -> Self {
                $loss { from_logits: false }
            }
            #[doc = concat!("Of logits: what a last layer without ", $squash, " gives.")]
            pub const fn from_logits() -> Self {
                $loss { from_logits: true }
            }
        }
    )+};
}
constructors!(
    SparseCategoricalCrossentropy: "softmax",
    CategoricalCrossentropy: "softmax",
    BinaryCrossentropy: "sigmoid"
);

/// The cross-entropy of each row.
fn rows(prediction: &Var, target: &Tensor, from_logits: bool) -> Result<Var> {
    if from_logits { prediction.cross_entropy(target) } else { prediction.cross_entropy_from_probabilities(target) }
}

impl Loss for SparseCategoricalCrossentropy {
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        if !is_label(target.dtype()) {
            return Err(Error::new(
                ErrorKind::DType,
                self.name(),
                format!(
                    "labels of i64 or u8 are expected, got {} {}; for one-hot targets use CategoricalCrossentropy",
                    target.dtype(),
                    target.shape()
                ),
            ));
        }
        let (&[ref leading @ .., classes], rank) = (prediction.dims(), prediction.shape().rank()) else {
            return Err(misfit(self.name(), prediction, target));
        };
        if leading == target.dims() && rank == 2 {
            return rows(prediction, target, self.from_logits);
        }
        // Keras's labels may be a column: (n, 1).
        let column = target.dims().split_last().is_some_and(|(&last, front)| last == 1 && front == leading);
        if rank < 2 || leading != target.dims() && !column {
            return Err(misfit(self.name(), prediction, target));
        }
        let count: usize = leading.iter().product();
        let labels = target.reshape([count])?;
        if rank == 2 {
            return rows(prediction, &labels, self.from_logits);
        }
        let each = rows(&prediction.reshape([count, classes])?, &labels, self.from_logits)?;
        mean_per_sample(&each.reshape(leading)?)
    }
    fn name(&self) -> &'static str {
        "sparse_categorical_crossentropy"
    }
}

#[cold]
fn misfit(loss: &'static str, prediction: &Var, target: &Tensor) -> Error {
    Error::shape(
        loss,
        format!(
            "predictions (n, classes) and labels (n,) are expected, got {} and {}",
            prediction.shape(),
            target.shape()
        ),
    )
}

impl Loss for CategoricalCrossentropy {
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        if prediction.shape().rank() < 2 || prediction.shape() != target.shape() {
            let remedy = if is_label(target.dtype()) && target.rank() + 1 == prediction.shape().rank() {
                "; for class numbers use SparseCategoricalCrossentropy"
            } else {
                ""
            };
            return Err(Error::shape(
                self.name(),
                format!(
                    "predictions and one-hot targets of one shape (n, classes) are expected, got {} and {}{remedy}",
                    prediction.shape(),
                    target.shape()
                ),
            ));
        }
        let target = target.to_dtype(prediction.dtype())?;
        if prediction.shape().rank() == 2 {
            return rows(prediction, &target, self.from_logits);
        }
        let (leading, classes) = match prediction.dims() {
            [leading @ .., classes] => (leading, *classes),
            [] => return Err(misfit(self.name(), prediction, &target)),
        };
        let count: usize = leading.iter().product();
        let each = rows(&prediction.reshape([count, classes])?, &target.reshape([count, classes])?, self.from_logits)?;
        mean_per_sample(&each.reshape(leading)?)
    }
    fn name(&self) -> &'static str {
        "categorical_crossentropy"
    }
}

/// Keras's distance of probabilities from 0 and 1 in the binary cross-entropy.
const EPSILON: f64 = 1e-7;

impl Loss for BinaryCrossentropy {
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        let t = same_shape(self.name(), prediction, target)?;
        let each = if self.from_logits {
            // −t·ln σ(x) − (1 − t)·ln(1 − σ(x)) = softplus(x) − t·x
            prediction.softplus()?.sub(&prediction.mul(&t)?)?
        } else {
            let p = prediction.clamp(EPSILON, 1.0 - EPSILON)?;
            let hit = t.mul(&p.ln()?)?;
            let miss = t.affine(-1.0, 1.0)?.mul(&p.affine(-1.0, 1.0)?.ln()?)?;
            hit.add(&miss)?.neg()?
        };
        mean_per_sample(&each)
    }
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }
}
