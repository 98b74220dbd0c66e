//! Samples that are kept once they were made.

use super::collate::{collate, each, samples};
use crate::images::past_the_end;
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Error, Result};
use std::sync::OnceLock;

/// Another data set whose samples are kept in memory once they were asked for: the second pass reads no file and runs no function of a
/// [`Map`](crate::Map) again.
///
/// ```
/// use kiln_datasets::{Cache, Dataset, ImageDataset, Map};
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// let images = ImageDataset::new(vec![0; 40], (0..10).collect(), &[2, 2], 10)?;
/// let calls = AtomicUsize::new(0);
/// let slow = Map::new(&images, |batch| {
///     calls.fetch_add(batch.len(), Ordering::Relaxed);
///     Ok(batch)
/// })?;
/// let data = Cache::new(&slow)?;
/// let before = calls.load(Ordering::Relaxed);
/// for _ in 0..3 {
///     data.batch(&[1, 3, 5], &[], &kiln_tensor::Device::cpu())?;
/// }
/// assert_eq!(calls.load(Ordering::Relaxed) - before, 3);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// What is kept is each sample as [`Dataset::batch`] gives it, in the CPU's memory, and training sees the same: what the other data
/// set draws at random in training would else be drawn once for all passes. So augment after the cache, by `Map` or `MapSamples`.
#[derive(Debug)]
pub struct Cache<D> {
    dataset: D,
    kept: Vec<OnceLock<Batch>>,
}

impl<D: Dataset> Cache<D> {
    /// Keeps nothing yet.
    ///
    /// # Errors
    /// A data set without an end; sequences of different lengths, whose samples are as long as the longest beside them.
    pub fn new(dataset: D) -> Result<Self> {
        let samples = dataset.len();
        if samples == usize::MAX {
            return Err(Error::value("Cache", "a data set without an end cannot be kept: take a `Subset` of it"));
        }
        if samples > 0 && dataset.length(0).is_some() {
            let message = "sequences of different lengths are filled up batch by batch and cannot be kept one by one";
            return Err(Error::value("Cache", message));
        }
        Ok(Cache { dataset, kept: (0..samples).map(|_| OnceLock::new()).collect() })
    }

    /// How many samples are kept.
    pub fn kept(&self) -> usize {
        self.kept.iter().filter(|sample| sample.get().is_some()).count()
    }

    /// Makes those that are not there yet. Where two threads make one, the first is kept; they are equal.
    fn fill(&self, indices: &[usize], upcoming: &[usize]) -> Result<()> {
        let is_missing = |&index: &usize| self.kept.get(index).is_some_and(|sample| sample.get().is_none());
        let mut missing: Vec<usize> = indices.iter().copied().filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let upcoming: Vec<usize> = upcoming.iter().copied().filter(is_missing).collect();
        let made = self.dataset.batch(&missing, &upcoming, &Device::cpu())?;
        for (&index, sample) in missing.iter().zip(samples(&made)) {
            let _ = self.kept[index].set(sample?);
        }
        Ok(())
    }
}

impl<D: Dataset> Dataset for Cache<D> {
    of_the_other!();

    fn input_shape(&self) -> &[usize] {
        self.dataset.input_shape()
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.dataset.input_shapes()
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        self.fill(indices, upcoming)?;
        let sample = |&index: &usize| {
            let kept = self.kept.get(index).and_then(OnceLock::get).cloned();
            kept.ok_or_else(|| past_the_end("Cache", index, self.len()))
        };
        let batch = collate(&indices.iter().map(sample).collect::<Result<Vec<_>>>()?)?;
        each(&batch, |tensor| tensor.to_device(device))
    }
}
