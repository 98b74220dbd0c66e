//! Samples of two data sets side by side.

use crate::{Batch, Dataset, Pass, Weights};
use kiln_tensor::{Device, Error, Result, Tensor, Tensors};

/// The features of one data set with those of another, sample by sample: the inputs of both, for a model of several inputs, and the
/// targets of the first ([`Zip::all_targets`]: of both).
///
/// ```
/// use kiln_datasets::{Dataset, TensorDataset, Zip};
/// use kiln_tensor::{DType, Device, Tensor};
/// let cpu = Device::cpu();
/// let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &cpu);
/// let photos = TensorDataset::new(zeros(&[5, 3, 8, 8])?, zeros(&[5])?)?;
/// let table = TensorDataset::new(zeros(&[5, 4])?, zeros(&[5])?)?;
/// let batch = Zip::new(photos, table)?.batch(&[0, 2], &[], &cpu)?;
/// assert_eq!((batch.inputs.count(), batch.targets.count()), (2, 1));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// Augmentation draws the same for a sample of both.
#[derive(Clone, Debug)]
pub struct Zip<A, B> {
    first: A,
    second: B,
    all_targets: bool,
}

impl<A: Dataset, B: Dataset> Zip<A, B> {
    /// Sample i of `first` with sample i of `second`.
    ///
    /// # Errors
    /// Unequal numbers of samples, or of rows in a batch where they are fixed.
    pub fn new(first: A, second: B) -> Result<Self> {
        if first.len() != second.len() {
            let message = format!(
                "the first data set has {} samples, the second {}: as many are needed, a `Subset` of the larger for example",
                first.len(),
                second.len()
            );
            return Err(Error::value("Zip", message));
        }
        if first.fixed_batch_size() != second.fixed_batch_size() {
            let message = "the rows of one data set continue from batch to batch, and those of the other do not in batches of that size";
            return Err(Error::value("Zip", message));
        }
        Ok(Zip { first, second, all_targets: false })
    }

    /// With the targets of both, for a model of several outputs: the first's, then the second's.
    #[must_use]
    pub fn all_targets(self) -> Self {
        Zip { all_targets: true, ..self }
    }

    fn side_by_side(&self, first: Batch, second: Batch) -> Batch {
        let mut masks = first.masks;
        if !second.masks.is_empty() {
            masks.resize(first.inputs.count(), None);
            masks.extend(second.masks);
        }
        let inputs = both(&first.inputs, &second.inputs);
        if !self.all_targets {
            return Batch { inputs, targets: first.targets, weights: first.weights, masks };
        }
        let weights = match (&first.weights, &second.weights) {
            (Weights::Ones, Weights::Ones) => Weights::Ones,
            (of_first, of_second) => {
                let of =
                    |weights: &Weights, outputs| (0..outputs).map(|at| weights.of(at).cloned()).collect::<Vec<_>>();
                Weights::Each([of(of_first, first.targets.count()), of(of_second, second.targets.count())].concat())
            }
        };
        Batch { inputs, targets: both(&first.targets, &second.targets), weights, masks }
    }
}

fn both(first: &Tensors, second: &Tensors) -> Tensors {
    second.iter().cloned().fold(first.clone(), |all: Tensors, tensor: Tensor| all.with(tensor))
}

impl<A: Dataset, B: Dataset> Dataset for Zip<A, B> {
    fn len(&self) -> usize {
        self.first.len()
    }

    fn input_shape(&self) -> &[usize] {
        self.first.input_shape()
    }

    /// Those of both.
    fn input_shapes(&self) -> Vec<Vec<usize>> {
        [self.first.input_shapes(), self.second.input_shapes()].concat()
    }

    fn length(&self, index: usize) -> Option<usize> {
        self.first.length(index).or_else(|| self.second.length(index))
    }

    fn fixed_batch_size(&self) -> Option<usize> {
        self.first.fixed_batch_size()
    }

    fn sequential(&self) -> bool {
        self.first.sequential() || self.second.sequential()
    }

    fn in_order(&self) -> bool {
        self.first.in_order() || self.second.in_order()
    }

    /// Those of the first data set, where its targets are the only ones.
    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        if self.all_targets { Ok(None) } else { self.first.class_labels() }
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        let first = self.first.batch(indices, upcoming, device)?;
        Ok(self.side_by_side(first, self.second.batch(indices, upcoming, device)?))
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        let first = self.first.training_batch(indices, upcoming, pass, device)?;
        Ok(self.side_by_side(first, self.second.training_batch(indices, upcoming, pass, device)?))
    }
}
