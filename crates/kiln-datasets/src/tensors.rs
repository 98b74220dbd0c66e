//! Samples in tensors.

use crate::images::past_the_end;
use crate::{Batch, Dataset};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};

/// Inputs (n, …) and targets (n, …) that are tensors already.
#[derive(Clone, Debug)]
pub struct TensorDataset {
    inputs: Tensor,
    targets: Tensor,
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
        Ok(TensorDataset { inputs, targets })
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
        Ok(Batch {
            inputs: self.inputs.index_select(0, &index)?.to_device(device)?,
            targets: self.targets.index_select(0, &index)?.to_device(device)?,
        })
    }
}
