//! A part of a data set.

use crate::images::past_the_end;
use crate::split::unpaired;
use crate::{Batch, Dataset, Pass};
use kiln_tensor::{Device, Result};

/// Some samples of another data set, in the order in which they are given.
///
/// ```
/// use kiln_datasets::{Dataset, ImageDataset, Subset};
/// let images = ImageDataset::new(vec![0; 40], vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[2, 2], 10)?;
/// let first = Subset::new(&images, 0..8)?;
/// let odd = Subset::new(&images, (1..10).step_by(2))?;
/// assert_eq!((first.len(), odd.class_labels()?), (8, Some(vec![1, 3, 5, 7, 9])));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Vec<usize>,
    /// Whether each index is one above the one before.
    contiguous: bool,
}

impl<D: Dataset> Subset<D> {
    /// The samples at these indices, in any order; a sample may be there several times.
    ///
    /// # Errors
    /// An index past the end of the data set.
    pub fn new(dataset: D, indices: impl IntoIterator<Item = usize>) -> Result<Self> {
        let samples = dataset.len();
        let checked = |index| if index < samples { Ok(index) } else { Err(past_the_end("Subset", index, samples)) };
        let indices = indices.into_iter().map(checked).collect::<Result<Vec<usize>>>()?;
        let contiguous = indices.is_sorted_by(|before, after| before + 1 == *after);
        Ok(Subset { dataset, indices, contiguous })
    }

    /// The indices in the other data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Indices of the other data set. Nothing of another part is handed out: it may be the data to validate with.
    fn moved(&self, indices: &[usize], upcoming: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
        let moved = |at: &usize| self.indices.get(*at).copied().ok_or_else(|| past_the_end("Subset", *at, self.len()));
        let upcoming = upcoming.iter().filter_map(|&at| self.indices.get(at).copied()).collect();
        Ok((indices.iter().map(moved).collect::<Result<_>>()?, upcoming))
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn input_shape(&self) -> &[usize] {
        self.dataset.input_shape()
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.dataset.input_shapes()
    }

    fn length(&self, index: usize) -> Option<usize> {
        self.dataset.length(*self.indices.get(index)?)
    }

    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        let Some(labels) = self.dataset.class_labels()? else { return Ok(None) };
        let label = |&index: &usize| {
            labels
                .get(index)
                .copied()
                .ok_or_else(|| unpaired("class_labels", "class labels", labels.len(), self.dataset.len()))
        };
        self.indices.iter().map(label).collect::<Result<_>>().map(Some)
    }

    /// Those of the other data set, where whole batches of them that follow one another are this part.
    fn fixed_batch_size(&self) -> Option<usize> {
        let first = self.indices.first().copied().unwrap_or(0);
        let whole = |&streams: &usize| {
            self.contiguous && first.is_multiple_of(streams) && self.indices.len().is_multiple_of(streams)
        };
        self.dataset.fixed_batch_size().filter(whole)
    }

    fn sequential(&self) -> bool {
        self.dataset.sequential()
    }

    fn in_order(&self) -> bool {
        self.dataset.in_order()
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        let (indices, upcoming) = self.moved(indices, upcoming)?;
        self.dataset.batch(&indices, &upcoming, device)
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        let (indices, upcoming) = self.moved(indices, upcoming)?;
        self.dataset.training_batch(&indices, &upcoming, pass, device)
    }
}
