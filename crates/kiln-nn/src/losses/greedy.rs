//! What a model that was trained with CTC says.

use super::all::Ctc;
use super::{Loss, is_label};
use kiln_tensor::{Error, Result, Tensor};

impl Ctc {
    /// What predictions (n, T, classes) spell, by greedy decoding: of each step the largest class, equal ones that follow one another
    /// merged, blanks removed. A mask bool (n, T) gives the number of steps of each sample.
    ///
    /// ```
    /// use kiln_nn::Ctc;
    /// use kiln_tensor::{DType, Device, Tensor};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let steps = Tensor::from_slice(&[1i64, 1, 0, 1, 2], [1, 5], &Device::cpu())?;
    /// let said = Ctc::new().decode(&steps.one_hot(3)?.to_dtype(DType::F32)?, None)?;
    /// assert_eq!(said, [[1, 1, 2]]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Predictions that are not (n, T, classes), a mask that does not fit them.
    pub fn decode(&self, predictions: &Tensor, mask: Option<&Tensor>) -> Result<Vec<Vec<i64>>> {
        let &[_, steps, classes] = predictions.dims() else {
            let message = format!("predictions (n, T, classes) are expected, got {}", predictions.shape());
            return Err(Error::shape(self.name(), message));
        };
        if steps == 0 || classes == 0 {
            return Err(Error::shape(self.name(), format!("predictions {} have no classes", predictions.shape())));
        }
        let lengths = self.steps(predictions.shape(), mask)?;
        let largest = predictions.argmax(2)?.to_vec::<i64>()?;
        let spelled = |(path, length): (&[i64], usize)| {
            let mut path = path[..length].to_vec();
            path.dedup();
            path.retain(|&class| class != self.blank as i64);
            path
        };
        Ok(largest.chunks_exact(steps).zip(lengths).map(spelled).collect())
    }

    /// The labels of each sample, of targets (n, S) as this loss takes them: without what pads them.
    ///
    /// # Errors
    /// Targets that are not labels (n, S).
    pub fn without_padding(&self, targets: &Tensor) -> Result<Vec<Vec<i64>>> {
        let &[samples, wide] = targets.dims() else {
            return Err(Error::shape(self.name(), format!("labels (n, S) are expected, got {}", targets.shape())));
        };
        if !is_label(targets.dtype()) {
            return Err(Error::value(self.name(), format!("labels of integers are expected, got {}", targets.dtype())));
        }
        let labels = targets.to_dtype(kiln_tensor::DType::I64)?.to_vec::<i64>()?;
        let counts = |label: &&i64| **label >= 0 && **label != self.blank as i64;
        let of =
            |sample: usize| labels[sample * wide..(sample + 1) * wide].iter().take_while(counts).copied().collect();
        Ok((0..samples).map(of).collect())
    }
}
