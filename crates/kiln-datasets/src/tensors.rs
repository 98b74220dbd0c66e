//! Samples in tensors.

use crate::images::past_the_end;
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};

/// Inputs (n, …) and targets (n, …) that are tensors already, with a weight for each sample where that is wanted.
#[derive(Clone, Debug)]
pub struct TensorDataset {
    inputs: Tensor,
    targets: Tensor,
    weights: Option<Tensor>,
}

impl TensorDataset {
    /// Samples are the rows of `inputs`, their targets those of `targets`.
    ///
    /// # Errors
    /// Tensors without axes, of different numbers of rows, or on different devices.
    pub fn new(inputs: Tensor, targets: Tensor) -> Result<Self> {
        let rows = |t: &Tensor| t.dims().first().copied();
        if rows(&inputs).is_none() || rows(&inputs) != rows(&targets) || inputs.device() != targets.device() {
            return Err(Error::new(
                ErrorKind::Shape,
                "TensorDataset",
                format!(
                    "inputs {} on {} and targets {} on {} do not pair: as many rows on one device are needed",
                    inputs.shape(),
                    inputs.device(),
                    targets.shape(),
                    targets.device()
                ),
            ));
        }
        Ok(TensorDataset { inputs, targets, weights: None })
    }

    /// The same samples, each counting so much in the loss (Keras's `sample_weight`): weights (n,), or (n, T) of each step.
    ///
    /// # Errors
    /// Weights that are not one float a sample, on the samples' device.
    pub fn sample_weights(self, weights: Tensor) -> Result<Self> {
        if weights.dims().first() != Some(&self.len())
            || !weights.dtype().is_float()
            || weights.device() != self.inputs.device()
        {
            return Err(Error::new(
                ErrorKind::Shape,
                "TensorDataset",
                format!(
                    "weights {} {} on {} for {} samples on {}: one float a sample is needed",
                    weights.dtype(),
                    weights.shape(),
                    weights.device(),
                    self.len(),
                    self.inputs.device()
                ),
            ));
        }
        Ok(TensorDataset { weights: Some(weights), ..self })
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.inputs.dims()[0]
    }

    fn input_shape(&self) -> &[usize] {
        &self.inputs.dims()[1..]
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(past_the_end("TensorDataset", index, self.len()));
        }
        let index: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let index = Tensor::from_slice(&index, [index.len()], self.inputs.device())?;
        let rows = |of: &Tensor| of.index_select(0, &index)?.to_device(device);
        let weights = self.weights.as_ref().map(rows).transpose()?;
        Ok(Batch { weights, ..Batch::new(rows(&self.inputs)?, rows(&self.targets)?) })
    }
}
