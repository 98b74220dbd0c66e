//! Accuracy of numbers against a threshold.

use super::MeanMetric;
use super::classes::Reading;
use kiln_tensor::{DType, Error, Result, Tensor};

/// The share of numbers on the right side of a threshold: above it for a target of 1, else not above it. With several
/// labels a sample, each label counts by itself (Keras's `BinaryAccuracy`).
#[derive(Clone, Copy, Debug)]
pub struct BinaryAccuracy {
    reading: Reading,
}

/// The share of samples whose labels are all right. Predictions and targets are (n, labels), each compared with a
/// threshold (scikit-learn's `accuracy_score` with several labels). [`BinaryAccuracy`] is the share of single labels.
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
            /// Predictions are probabilities, the threshold is ½.
            pub const fn new() -> Self {
                $metric { reading: Reading::NEW }
            }

            /// Predictions are logits, the output of a last layer without sigmoid.
            pub const fn from_logits() -> Self {
                $metric { reading: Reading { from_logits: true, ..Reading::NEW } }
            }

            /// The threshold, a probability from 0 to 1, also for logits. Another one is an error with the first
            /// batch.
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
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        right("binary_accuracy", &self.reading, predictions, targets)
    }
}

impl MeanMetric for MultilabelAccuracy {
    fn name(&self) -> &'static str {
        "multilabel_accuracy"
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let right = right("multilabel_accuracy", &self.reading, predictions, targets)?.to_dtype(DType::F32)?;
        if right.rank() < 2 { Ok(right) } else { right.min(-1) }
    }
}
