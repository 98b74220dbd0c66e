//! A part of a data set.

use crate::images::past_the_end;
use crate::{Batch, Dataset, Pass};
use kiln_tensor::{Device, Error, Result};
use std::ops::Range;

/// The samples of a range of another data set: `Subset::new(&data, 0..800)?` to train on, `800..1000` to validate with.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    range: Range<usize>,
}

impl<D: Dataset> Subset<D> {
    /// The samples of this range.
    ///
    /// # Errors
    /// A range that ends past the data set, or before it begins.
    pub fn new(dataset: D, range: Range<usize>) -> Result<Self> {
        if range.start > range.end || range.end > dataset.len() {
            return Err(Error::value(
                "Subset",
                format!("samples {} to {} of {}", range.start, range.end, dataset.len()),
            ));
        }
        Ok(Subset { dataset, range })
    }

    /// Indices of the other data set. Nothing of another part is handed out: it may be the data to validate with.
    fn moved(&self, indices: &[usize], upcoming: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.range.len()) {
            return Err(past_the_end("Subset", index, self.range.len()));
        }
        let moved =
            |indices: &[usize]| -> Vec<usize> { indices.iter().map(|index| index + self.range.start).collect() };
        Ok((moved(indices), moved(upcoming)))
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn input_shape(&self) -> &[usize] {
        self.dataset.input_shape()
    }

    fn length(&self, index: usize) -> Option<usize> {
        if index < self.len() { self.dataset.length(index + self.range.start) } else { None }
    }

    fn streams(&self) -> Option<usize> {
        let whole =
            |&streams: &usize| self.range.start.is_multiple_of(streams) && self.range.len().is_multiple_of(streams);
        self.dataset.streams().filter(whole)
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
