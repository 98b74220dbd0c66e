//! Samples that are their own targets.

use crate::{Batch, Dataset, Pass};
use kiln_tensor::{Device, Result};

/// Another data set with its inputs as targets: what an autoencoder is trained on (Keras's `fit(x, x)`).
///
/// ```
/// use kiln_datasets::{Dataset, ImageDataset, InputsAsTargets};
/// use kiln_tensor::Device;
/// let images = ImageDataset::new(vec![0, 255, 0, 255], vec![7], &[2, 2], 10)?;
/// let batch = InputsAsTargets(images).batch(&[0], &[], &Device::cpu())?;
/// assert_eq!(batch.targets.to_vec::<f32>()?, [0.0, 1.0, 0.0, 1.0]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
///
/// Of images that are augmented, the targets are the augmented ones.
#[derive(Clone, Debug)]
pub struct InputsAsTargets<D>(pub D);

impl<D: Dataset> Dataset for InputsAsTargets<D> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn input_shape(&self) -> &[usize] {
        self.0.input_shape()
    }
    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.0.input_shapes()
    }
    fn length(&self, index: usize) -> Option<usize> {
        self.0.length(index)
    }
    fn fixed_batch_size(&self) -> Option<usize> {
        self.0.fixed_batch_size()
    }
    fn sequential(&self) -> bool {
        self.0.sequential()
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        self.0.batch(indices, upcoming, device).map(of_inputs)
    }
    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.0.training_batch(indices, upcoming, pass, device).map(of_inputs)
    }
}

fn of_inputs(batch: Batch) -> Batch {
    Batch { targets: batch.inputs.clone(), ..batch }
}
