//! One data set after the other.

use super::collate::{collate, each};
use crate::images::past_the_end;
use crate::{Batch, Dataset, Pass};
use kiln_tensor::{Device, Error, Result, Tensor};

/// Several data sets, one after the other (PyTorch's `ConcatDataset`). Those of different types go in as `Box<dyn Dataset>` or
/// `&dyn Dataset`.
///
/// ```
/// use kiln_datasets::{Concat, Dataset, ImageDataset};
/// let digits = ImageDataset::new(vec![0; 12], vec![0, 1, 2], &[2, 2], 10)?;
/// let letters = ImageDataset::new(vec![9; 8], vec![8, 9], &[2, 2], 10)?;
/// let both = Concat::new([&digits, &letters])?;
/// assert_eq!(both.class_labels()?, Some(vec![0, 1, 2, 8, 9]));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// Where some samples have weights or masks and others have none, those count whole. Augmentation draws for each part by itself.
#[derive(Clone, Debug)]
pub struct Concat<D> {
    parts: Vec<D>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl<D: Dataset> Concat<D> {
    /// These data sets in this order.
    ///
    /// # Errors
    /// No data set, unlike input shapes, a data set without an end or one whose rows continue from batch to batch. That targets, types
    /// or numbers of inputs are unlike shows where two such samples meet in one batch, which is an error then.
    pub fn new(parts: impl IntoIterator<Item = D>) -> Result<Self> {
        let parts: Vec<D> = parts.into_iter().collect();
        let Some(first) = parts.first() else { return Err(Error::value("Concat", "at least one data set is needed")) };
        let (shape, mut ends, mut end) = (first.input_shape(), Vec::with_capacity(parts.len()), 0usize);
        for (number, part) in parts.iter().enumerate() {
            if part.input_shape() != shape {
                let message = format!(
                    "samples of data set 0 have the shape {shape:?}, those of data set {number} {:?}: one shape is needed",
                    part.input_shape()
                );
                return Err(Error::shape("Concat", message));
            }
            if part.fixed_batch_size().is_some() {
                let message = format!(
                    "the rows of data set {number} continue from batch to batch: put its text or series together before it is cut"
                );
                return Err(Error::value("Concat", message));
            }
            end = end.checked_add(part.len()).filter(|&end| end < usize::MAX).ok_or_else(|| {
                Error::value(
                    "Concat",
                    format!("data set {number} has no end, so nothing can follow it: take a `Subset` of it"),
                )
            })?;
            ends.push(end);
        }
        Ok(Concat { parts, ends })
    }

    /// The part that a sample is in, and its index there.
    fn place(&self, index: usize) -> Option<(usize, usize)> {
        let part = self.ends.partition_point(|&end| end <= index);
        let start = if part == 0 { 0 } else { self.ends[part - 1] };
        (part < self.parts.len()).then(|| (part, index - start))
    }

    /// The samples of a batch, gathered part by part and put in the order that was asked for.
    fn gather(
        &self,
        indices: &[usize],
        upcoming: &[usize],
        fetch: impl Fn(usize, &[usize], &[usize]) -> Result<Batch>,
    ) -> Result<Batch> {
        let mut of_parts = vec![(Vec::new(), Vec::new(), Vec::new()); self.parts.len()];
        for (row, &index) in indices.iter().enumerate() {
            let (part, local) = self.place(index).ok_or_else(|| past_the_end("Concat", index, self.len()))?;
            of_parts[part].0.push(row);
            of_parts[part].1.push(local);
        }
        for (part, local) in upcoming.iter().filter_map(|&index| self.place(index)) {
            of_parts[part].2.push(local);
        }
        let (mut batches, mut places, mut rows) = (Vec::new(), vec![0; indices.len()], 0);
        for (part, (of_part, local, next)) in of_parts.iter().enumerate().filter(|(_, (rows, ..))| !rows.is_empty()) {
            batches.push(fetch(part, local, next)?);
            for &row in of_part {
                places[row] = rows;
                rows += 1;
            }
        }
        let joined = collate(&batches)?;
        if places.is_sorted() {
            return Ok(joined);
        }
        let places: Vec<i64> = places.into_iter().map(|place: usize| place as i64).collect();
        let index = Tensor::from_slice(&places, [places.len()], joined.inputs.device())?;
        each(&joined, |tensor| tensor.index_select(0, &index))
    }
}

impl<D: Dataset> Dataset for Concat<D> {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn input_shape(&self) -> &[usize] {
        self.parts.first().map_or(&[], |part| part.input_shape())
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.parts.first().map_or_else(Vec::new, Dataset::input_shapes)
    }

    fn length(&self, index: usize) -> Option<usize> {
        let (part, local) = self.place(index)?;
        self.parts[part].length(local)
    }

    fn sequential(&self) -> bool {
        self.parts.iter().any(Dataset::sequential)
    }

    fn in_order(&self) -> bool {
        self.parts.iter().any(Dataset::in_order)
    }

    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        let labels = self.parts.iter().map(Dataset::class_labels).collect::<Result<Option<Vec<_>>>>()?;
        Ok(labels.map(|labels| labels.concat()))
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        self.gather(indices, upcoming, |part, indices, upcoming| self.parts[part].batch(indices, upcoming, device))
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.gather(indices, upcoming, |part, indices, upcoming| {
            // The same index of two parts is not the same sample: each part draws from a seed of its own.
            let pass = Pass { seed: pass.seed.wrapping_add(part as u64), ..pass };
            self.parts[part].training_batch(indices, upcoming, pass, device)
        })
    }
}
