//! Samples in tensors.

use crate::images::past_the_end;
use crate::{Batch, Dataset, Weights};
use kiln_tensor::{DType, Device, Error, ErrorKind, Result, Tensor, Tensors};

/// Inputs (n, …) and targets (n, …) that are tensors already, with a weight for each sample where that is wanted.
///
/// Of a model with several inputs or outputs each is a tuple: `TensorDataset::new((images, texts), (digits, widths))`.
#[derive(Clone, Debug)]
pub struct TensorDataset {
    inputs: Tensors,
    targets: Tensors,
    weights: Weights,
}

impl TensorDataset {
    /// Samples are the rows of `inputs`, their targets those of `targets`; of several, tuples of tensors.
    ///
    /// # Errors
    /// Tensors without axes, of different numbers of rows, or on different devices.
    pub fn new(inputs: impl Into<Tensors>, targets: impl Into<Tensors>) -> Result<Self> {
        let (inputs, targets) = (inputs.into(), targets.into());
        let rows = |t: &Tensor| t.dims().first().copied();
        let pairs = |t: &Tensor| rows(t) == rows(&inputs) && t.device() == inputs.device();
        let unpaired = inputs.iter().skip(1).chain(targets.iter()).find(|t| !pairs(t));
        match (rows(&inputs), unpaired) {
            (Some(_), None) => Ok(TensorDataset { inputs, targets, weights: Weights::Ones }),
            (_, unpaired) => {
                let other = unpaired.unwrap_or(&targets);
                let what = if inputs.iter().any(|input| std::ptr::eq(input, other)) { "inputs" } else { "targets" };
                let message = format!(
                    "inputs {} on {} and {what} {} on {} do not pair: as many rows on one device are needed",
                    inputs.shape(),
                    inputs.device(),
                    other.shape(),
                    other.device()
                );
                Err(Error::new(ErrorKind::Shape, "TensorDataset", message))
            }
        }
    }

    /// The same samples, each counting so much in the loss (Keras's `sample_weight`): weights (n,), or (n, T) of each step, for all
    /// outputs of the model or for each ([`Weights`]).
    ///
    /// # Errors
    /// Weights that are not one float a sample, on the samples' device.
    pub fn sample_weights(self, weights: impl Into<Weights>) -> Result<Self> {
        let weights = weights.into();
        weights.try_map(|weights| self.check(weights).map(|()| weights.clone()))?;
        Ok(TensorDataset { weights, ..self })
    }

    fn check(&self, weights: &Tensor) -> Result<()> {
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
        Ok(())
    }
}

/// Rows that are looked at together: most targets that are no classes show it in the first ones.
const ROWS: usize = 1024;

/// The classes that targets (n,) or (n, …) are, where they are.
fn class_labels(targets: &Tensor) -> Result<Option<Vec<i64>>> {
    let (samples, dims) = (targets.dims()[0], &targets.dims()[1..]);
    let width = match *dims {
        [] => 1,
        [width] => width,
        _ => return Ok(None),
    };
    if width == 1 && !targets.dtype().is_float() {
        return targets.to_dtype(DType::I64)?.to_vec().map(Some);
    }
    let mut labels = Vec::with_capacity(samples);
    for first in (0..samples).step_by(ROWS) {
        let rows = targets.slice(0, first..(first + ROWS).min(samples))?.to_f64_vec()?;
        for row in rows.chunks_exact(width.max(1)) {
            let ones = row.iter().filter(|&&value| value == 1.0).count();
            let zeros = row.iter().filter(|&&value| value == 0.0).count();
            match row.iter().position(|&value| value == 1.0) {
                _ if ones + zeros != width => return Ok(None),
                found if width == 1 => labels.push(i64::from(found.is_some())),
                Some(class) if ones == 1 => labels.push(class as i64),
                _ => return Ok(None),
            }
        }
    }
    Ok((labels.len() == samples).then_some(labels))
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.inputs.dims()[0]
    }

    fn input_shape(&self) -> &[usize] {
        &self.inputs.dims()[1..]
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        self.inputs.iter().map(|input| input.dims()[1..].to_vec()).collect()
    }

    /// Targets of whole numbers or bool, one a sample, are class labels; so are floats, one a sample, that are all 0 or 1, and
    /// rows of two or more numbers that are one-hot. All others are none.
    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        if self.targets.count() > 1 {
            return Ok(None);
        }
        class_labels(&self.targets)
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(past_the_end("TensorDataset", index, self.len()));
        }
        let index: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let index = Tensor::from_slice(&index, [index.len()], self.inputs.device())?;
        let rows = |of: &Tensor| of.index_select(0, &index)?.to_device(device);
        let weights = self.weights.try_map(rows)?;
        Ok(Batch { weights, ..Batch::new(self.inputs.try_map(rows)?, self.targets.try_map(rows)?) })
    }
}
