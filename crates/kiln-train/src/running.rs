//! Sums that stay on the device until an epoch ends.

use kiln_tensor::{DType, Result, Tensor};

/// A sum of numbers in f64.
#[derive(Default)]
pub(crate) struct Running(Option<Tensor>);

impl Running {
    /// Adds `weight` · `value`, a tensor of one element.
    pub(crate) fn add(&mut self, value: &Tensor, weight: f64) -> Result<()> {
        let mut value = value.to_dtype(DType::F64)?;
        if weight != 1.0 {
            value = value.mul_scalar(weight)?;
        }
        match &mut self.0 {
            Some(sum) => sum.add_assign(&value),
            empty => {
                *empty = Some(value);
                Ok(())
            }
        }
    }

    /// The sum divided by `count`; waits for the device.
    pub(crate) fn mean(&self, count: usize) -> Result<f64> {
        match &self.0 {
            Some(sum) => Ok(sum.item()? / count as f64),
            None => Ok(f64::NAN),
        }
    }
}
