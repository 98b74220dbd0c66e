//! The rows of a table as samples.

use super::bind::Bound;
use super::table::TableEncoder;
use super::tables::Csv;
use crate::images::past_the_end;
use crate::{Batch, Dataset, TensorDataset};
use kiln_tensor::{Device, Result, Tensor};

/// The rows of a table as samples: features (n, features), f32, with labels (n,), i64, or numbers (n, 1), f32. What
/// [`TableEncoder::dataset`] makes.
///
/// Rows are read from the file and converted batch by batch, in the threads of a loader where it has workers
/// ([`Loader::workers`](crate::Loader::workers)); in memory are where they begin, and the labels. A table that fits into memory is
/// faster there: [`load`](CsvDataset::load).
///
/// ```
/// use kiln_datasets::{CsvOptions, Dataset, Loader, TableOptions};
/// let train = CsvOptions::new().read("x,y\n1,0.5\n2,1.5\n3,2.5\n")?;
/// let data = TableOptions::new("y").fit(&train)?.dataset(&train)?;
/// Loader::new(&data).batch_size(2).shuffle(1).workers(2).epoch(0, |batches| {
///     let first = batches.next().unwrap()?;
///     assert_eq!((first.inputs.dims(), first.targets.dims()), (&[2, 1][..], &[2, 1][..]));
///     Ok(())
/// })?;
/// assert_eq!(data.load()?.len(), 3);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CsvDataset {
    /// The rows that were not left out.
    csv: Csv,
    bound: Bound,
    target: usize,
    shape: [usize; 1],
    /// Classes, where the target is one.
    labels: Option<Vec<u32>>,
    dropped: usize,
}

impl CsvDataset {
    pub(super) fn new(table: &TableEncoder, csv: &Csv) -> Result<Self> {
        let bound = table.bind(csv)?;
        let target = bound.target.place(csv)?;
        let (mut kept, mut labels, mut row_number) = (Vec::new(), Vec::new(), 0);
        let mut features = Vec::with_capacity(bound.width());
        csv.each_row(|row| {
            features.clear();
            if let Some(value) = bound.sample(row, target, &mut features)? {
                kept.push(row_number);
                if bound.has_classes() {
                    labels.push(value as u32);
                }
            }
            row_number += 1;
            Ok(())
        })?;
        if kept.is_empty() {
            return Err(csv.wrong("no row is left: each lacks a value"));
        }
        let dropped = csv.len() - kept.len();
        let csv = if dropped == 0 { csv.clone() } else { csv.select(kept)? };
        let labels = bound.has_classes().then_some(labels);
        Ok(CsvDataset { csv, shape: [bound.width()], bound, target, labels, dropped })
    }

    /// Rows that were left out, because a value is missing.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// All samples in memory.
    ///
    /// # Errors
    /// A file that has changed since it was opened; out of memory.
    pub fn load(&self) -> Result<TensorDataset> {
        let all = self.read(0..self.len())?;
        TensorDataset::new(all.inputs, all.targets)
    }

    fn read(&self, rows: impl Iterator<Item = usize>) -> Result<Batch> {
        let cpu = Device::cpu();
        let (mut features, mut targets) = (Vec::new(), Vec::new());
        self.csv.rows_at(rows, |row| {
            let value = self.bound.sample(row, self.target, &mut features)?;
            targets
                .push(value.ok_or_else(|| self.csv.wrong("the file has changed since it was opened: open it again"))?);
            Ok(())
        })?;
        let count = targets.len();
        let targets = match self.labels {
            Some(_) => Tensor::from_vec(targets.into_iter().map(|label| label as i64).collect(), [count], &cpu)?,
            None => Tensor::from_vec(targets.into_iter().map(|value| value as f32).collect(), [count, 1], &cpu)?,
        };
        Ok(Batch::new(Tensor::from_vec(features, [count, self.shape[0]], &cpu)?, targets))
    }
}

impl Dataset for CsvDataset {
    fn len(&self) -> usize {
        self.csv.len()
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        Ok(self.labels.as_ref().map(|labels| labels.iter().map(|&label| i64::from(label)).collect()))
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(past_the_end("CsvDataset", index, self.len()));
        }
        let batch = self.read(indices.iter().copied())?;
        let to = |tensor: &Tensor| tensor.to_device(device);
        Ok(Batch::new(batch.inputs.try_map(to)?, batch.targets.try_map(to)?))
    }
}
