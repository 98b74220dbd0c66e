//! How a model is compiled.

use super::Calibration;
use kiln_tensor::Precision;

/// How a model is compiled.
#[derive(Clone, Debug, Default)]
pub struct InferenceOptions {
    pub(super) batches: Vec<usize>,
    pub(super) any_batch: bool,
    pub(super) fast: bool,
    pub(super) calibration: Option<Calibration>,
}

impl InferenceOptions {
    /// The batch size of the examples, and the bits of [`Sequential::forward`](crate::Sequential::forward).
    pub fn new() -> Self {
        InferenceOptions::default()
    }

    /// The batch sizes to compile for, in place of the examples'. Each size has packed weights of its own.
    #[must_use]
    pub fn batches(self, sizes: &[usize]) -> Self {
        InferenceOptions { batches: sizes.to_vec(), ..self }
    }

    /// Lets a batch have any number of samples: it is run in parts of the sizes that the plan was compiled for, to which 1 is added.
    #[must_use]
    pub fn any_batch(self) -> Self {
        InferenceOptions { any_batch: true, ..self }
    }

    /// Lets bits differ from those of `forward`: batch normalization is folded into the weights, and convolutions of 3 × 3 are
    /// computed by Winograd's algorithm. [`InferencePlan::error`](crate::InferencePlan::error) says by how much the outputs for the
    /// examples differ.
    #[must_use]
    pub fn fast(self) -> Self {
        InferenceOptions { fast: true, ..self }
    }

    /// Computes layers by 8-bit integers where the calibration has ranges of their inputs, and the others as [`fast`](Self::fast).
    /// Weights have a scale for each output channel, inputs one for all. [`InferencePlan::error`](crate::InferencePlan::error) says by
    /// how much the outputs for the examples differ.
    #[must_use]
    pub fn int8(self, calibration: &Calibration) -> Self {
        InferenceOptions { calibration: Some(calibration.clone()), ..self }
    }

    pub(super) fn precision(&self) -> Precision {
        match &self.calibration {
            Some(calibration) => Precision::Int8(calibration.ranges()),
            None if self.fast => Precision::Fast,
            None => Precision::Exact,
        }
    }
}
