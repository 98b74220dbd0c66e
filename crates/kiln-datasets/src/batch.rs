//! What a data set is, and what it hands out.

use kiln_tensor::{Device, Result, Tensor};

/// Some samples together: inputs (n, …) and their targets (n,) or (n, …).
#[derive(Clone, Debug)]
pub struct Batch {
    /// The model's inputs, one sample a row.
    pub inputs: Tensor,
    /// What the model should say: labels, one-hot rows, values.
    pub targets: Tensor,
    /// How much each sample counts in the loss, (n,) floats; without them each counts 1.
    pub weights: Option<Tensor>,
}

impl Batch {
    /// Samples that count alike.
    pub fn new(inputs: Tensor, targets: Tensor) -> Self {
        Batch { inputs, targets, weights: None }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Samples that can be had by index, batch by batch.
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sizes of one sample's axes, without the batch axis.
    fn input_shape(&self) -> &[usize];

    /// The samples at `indices`, in that order, on `device`.
    ///
    /// `upcoming` are the indices that will probably be asked for next: a data set may fetch them from slower memory
    /// meanwhile. The values must depend on `indices` alone.
    ///
    /// # Errors
    /// An index past the end; memory or files that cannot be had.
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch>;
}

impl<D: Dataset + ?Sized> Dataset for &D {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn input_shape(&self) -> &[usize] {
        (**self).input_shape()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        (**self).batch(indices, upcoming, device)
    }
}
