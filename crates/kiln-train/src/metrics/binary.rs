//! How often a number is on the right side of a threshold.

use super::MeanMetric;
use super::classes::Reading;
use kiln_tensor::{DType, Error, Result, Tensor};

/// The share of numbers that are on their target's side of a threshold: above it where the target is 1, else not. Of several labels a sample each
/// counts by itself (Keras's `BinaryAccuracy`).
#[derive(Clone, Copy, Debug)]
pub struct BinaryAccuracy {
    reading: Reading,
}

/// The share of samples all of whose labels are right: predictions and targets (n, labels), each number on its target's side of a threshold
/// (scikit-learn's `accuracy_score` of several labels). [`BinaryAccuracy`] is the share of labels.
#[derive(Clone, Copy, Debug)]
pub struct MultilabelAccuracy {
    reading: Reading,
}

macro_rules! settings {
    ($($metric:ident)+) => {$(
        impl Default for $metric {
            fn default() -> Self {
                $metric::new()
            }
        }

        impl $metric {
            /// Of probabilities, with a threshold of ½.
            pub const fn new() -> Self {
                $metric { reading: Reading::NEW }
            }

            /// Of logits: what a last layer without sigmoid gives.
            pub const fn from_logits() -> Self {
                $metric { reading: Reading { from_logits: true, ..Reading::NEW } }
            }

            /// The threshold, a probability from 0 to 1, of logits too; another one is reported with the first batch.
            #[must_use]
            pub const fn threshold(self, threshold: f64) -> Self {
                $metric { reading: Reading { threshold, ..self.reading } }
            }
        }
    )+};
}
settings! { BinaryAccuracy MultilabelAccuracy }

/// Whether each number is on its target's side, bool.
fn right(metric: &'static str, reading: &Reading, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if predictions.shape() != targets.shape() {
        let message =
            format!("predictions and targets of one shape are expected, got {} and {}", predictions.shape(), targets.shape());
        return Err(Error::shape(metric, message));
    }
    let targets = targets.to_dtype(DType::F32)?;
    let wanted = targets.gt(&Tensor::full((), 0.5, DType::F32, targets.device())?)?;
    reading.above(metric, predictions)?.eq(&wanted)
}

impl MeanMetric for BinaryAccuracy {
    fn name(&self) -> &'static str {
        "binary_accuracy"
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        right("binary_accuracy", &self.reading, predictions, targets)
    }
}

impl MeanMetric for MultilabelAccuracy {
    fn name(&self) -> &'static str {
        "multilabel_accuracy"
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let right = right("multilabel_accuracy", &self.reading, predictions, targets)?.to_dtype(DType::F32)?;
        if right.rank() < 2 { Ok(right) } else { right.min(-1) }
    }
}
