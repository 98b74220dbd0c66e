//! What a data set is, and what it hands out.

use kiln_tensor::{Device, Result, Tensor};

/// Some samples together: inputs (n, …) and their targets (n,) or (n, …).
#[derive(Clone, Debug)]
pub struct Batch {
    /// The model's inputs, one sample a row.
    pub inputs: Tensor,
    /// What the model should say: labels, one-hot rows, values.
    pub targets: Tensor,
    /// How much each sample counts in the loss, floats (n,), or each step, (n, T); without them each counts 1.
    pub weights: Option<Tensor>,
    /// Which steps of sequences count, bool (n, steps); without it all do.
    pub mask: Option<Tensor>,
}

impl Batch {
    /// Samples that count alike.
    pub fn new(inputs: Tensor, targets: Tensor) -> Self {
        Batch { inputs, targets, weights: None, mask: None }
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

/// A pass over a data set in training: what is random about its samples is drawn from it and the sample's index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pass {
    /// The run's seed.
    pub seed: u64,
    /// Number of the pass.
    pub epoch: u64,
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

    /// Steps of the sample at `index`, of sequences of different lengths; what a loader
    /// [buckets](crate::Loader::bucket_by_length) by.
    fn length(&self, index: usize) -> Option<usize> {
        let _ = index;
        None
    }

    /// How many samples a batch has whose rows go on from batch to batch, in order; a loader then takes batches of this size
    /// and leaves the order as it is, whatever it was told.
    fn streams(&self) -> Option<usize> {
        None
    }

    /// The samples at `indices`, in that order, on `device`.
    ///
    /// `upcoming` are the indices that will probably be asked for next: a data set may fetch them from slower memory
    /// meanwhile. The values must depend on `indices` alone.
    ///
    /// # Errors
    /// An index past the end; memory or files that cannot be had.
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch>;

    /// The same samples as training sees them in this pass: augmented, where the data set does such a thing. What is drawn for
    /// a sample must depend on the pass and its index alone. A data set made of another hands this on to it, like the rest.
    ///
    /// # Errors
    /// Those of [`Dataset::batch`].
    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        let _ = pass;
        self.batch(indices, upcoming, device)
    }
}

macro_rules! behind {
    ($($pointer:ty),+) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }
            fn input_shape(&self) -> &[usize] {
                (**self).input_shape()
            }
            fn length(&self, index: usize) -> Option<usize> {
                (**self).length(index)
            }
            fn streams(&self) -> Option<usize> {
                (**self).streams()
            }
            fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
                (**self).batch(indices, upcoming, device)
            }
            fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
                (**self).training_batch(indices, upcoming, pass, device)
            }
        }
    )+};
}
behind!(&D, Box<D>);
