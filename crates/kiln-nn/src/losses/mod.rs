//! Losses: how far predictions are from targets.

mod cross_entropy;
mod regression;

pub use cross_entropy::{BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy};
pub use regression::{MeanAbsoluteError, MeanSquaredError};

use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};

/// A loss. The first axis of predictions and targets counts samples.
pub trait Loss: Send + Sync {
    /// The loss of each sample, (n,).
    ///
    /// # Errors
    /// Predictions and targets that do not fit each other.
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var>;

    /// The mean over the samples: one number, to call `backward` on.
    ///
    /// # Errors
    /// As [`Loss::per_sample`].
    fn forward(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        self.per_sample(prediction, target)?.mean_all()
    }

    /// Σ weight·loss / n, of one weight for each sample, (n,): one number, to call `backward` on.
    ///
    /// As in Keras it is the number of samples that divides, not the sum of the weights as in PyTorch's
    /// `CrossEntropyLoss(weight)`.
    ///
    /// # Errors
    /// As [`Loss::per_sample`]; weights that are not one a sample.
    fn weighted(&self, prediction: &Var, target: &Tensor, weights: &Tensor) -> Result<Var> {
        let each = self.per_sample(prediction, target)?;
        if weights.shape() != each.shape() {
            return Err(Error::shape(
                self.name(),
                format!(
                    "weights of shape {} for losses of shape {}: one a sample is needed",
                    weights.shape(),
                    each.shape()
                ),
            ));
        }
        each.mul(&Var::constant(weights.to_dtype(each.dtype())?))?.mean_all()
    }

    /// Keras's name: `sparse_categorical_crossentropy`.
    fn name(&self) -> &'static str;
}

impl<L: Loss + ?Sized> Loss for Box<L> {
    fn per_sample(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        (**self).per_sample(prediction, target)
    }
    fn forward(&self, prediction: &Var, target: &Tensor) -> Result<Var> {
        (**self).forward(prediction, target)
    }
    fn weighted(&self, prediction: &Var, target: &Tensor, weights: &Tensor) -> Result<Var> {
        (**self).weighted(prediction, target, weights)
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
}

/// The target in the prediction's dtype. Shapes must be equal: broadcasting (n, 1) against (n,) would compare every
/// prediction with every target.
fn same_shape(loss: &'static str, prediction: &Var, target: &Tensor) -> Result<Var> {
    if prediction.shape() != target.shape() {
        let remedy = if prediction.tensor().elements() == target.elements() {
            "give both the same shape with `reshape`"
        } else {
            "the last layer's size must be that of the targets"
        };
        return Err(Error::shape(
            loss,
            format!("predictions have shape {}, targets {}; {remedy}", prediction.shape(), target.shape()),
        ));
    }
    Ok(Var::constant(target.to_dtype(prediction.dtype())?))
}

/// The mean of all but the first axis.
fn mean_per_sample(x: &Var) -> Result<Var> {
    match x.shape().rank() {
        0 => x.unsqueeze(0),
        1 => Ok(x.clone()),
        _ => x.flatten(1)?.mean(-1, false),
    }
}

/// Whether a target holds class numbers.
fn is_label(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::U8)
}
