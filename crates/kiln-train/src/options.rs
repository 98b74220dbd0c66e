//! How `fit` is to go.

use crate::EpochRecord;
use kiln_datasets::Dataset;

/// Where an epoch has got to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Batches done in it.
    pub batch: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Samples in the batch just done.
    pub samples: usize,
}

type OnEpoch<'a> = Box<dyn FnMut(&EpochRecord) + Send + 'a>;
type OnBatch<'a> = Box<dyn FnMut(&Progress) + Send + 'a>;

/// How `fit` is to go; the defaults are Keras's: one epoch, batches of 32, shuffled.
pub struct FitOptions<'a> {
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) seed: u64,
    pub(crate) shuffle: bool,
    pub(crate) workers: usize,
    pub(crate) validation: Option<&'a dyn Dataset>,
    pub(crate) on_epoch: Option<OnEpoch<'a>>,
    pub(crate) on_batch: Option<OnBatch<'a>>,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        FitOptions {
            epochs: 1,
            batch_size: 32,
            seed: 0,
            shuffle: true,
            workers: 0,
            validation: None,
            on_epoch: None,
            on_batch: None,
        }
    }
}

impl<'a> FitOptions<'a> {
    /// The defaults.
    pub fn new() -> Self {
        FitOptions::default()
    }

    /// Passes over the training data.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Self {
        FitOptions { epochs, ..self }
    }

    /// Samples per step.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        FitOptions { batch_size, ..self }
    }

    /// Fixes the order of samples and what layers draw: the same seed gives the same bits.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        FitOptions { seed, ..self }
    }

    /// Whether each epoch has a random order; else that of the data set.
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> Self {
        FitOptions { shuffle, ..self }
    }

    /// Threads that gather batches ahead; 0, the default, is fastest for data in memory.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        FitOptions { workers, ..self }
    }

    /// Data to evaluate on after each epoch.
    #[must_use]
    pub fn validation(self, data: &'a dyn Dataset) -> Self {
        FitOptions { validation: Some(data), ..self }
    }

    /// Called after each epoch.
    #[must_use]
    pub fn on_epoch(self, f: impl FnMut(&EpochRecord) + Send + 'a) -> Self {
        FitOptions { on_epoch: Some(Box::new(f)), ..self }
    }

    /// Called after each batch; what it costs, training costs.
    #[must_use]
    pub fn on_batch(self, f: impl FnMut(&Progress) + Send + 'a) -> Self {
        FitOptions { on_batch: Some(Box::new(f)), ..self }
    }
}
