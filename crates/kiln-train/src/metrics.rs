//! Metrics: what is reported beside the loss.

use kiln_tensor::{DType, Result, Tensor};

/// A number per sample that is averaged over an epoch.
pub trait Metric: Send + Sync {
    /// The name in histories and logs.
    fn name(&self) -> &'static str;

    /// The sum over the samples of a batch, a tensor of one element on their device: reading it would stop the device, so
    /// it is left there until the epoch ends.
    ///
    /// # Errors
    /// Predictions and targets that do not fit each other.
    fn sum(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor>;
}

/// The share of samples whose largest output is the target's class; for a single output, whose side of ½ is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn sum(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let classes = predictions.dims().last().copied().unwrap_or(1);
        if classes == 1 || predictions.rank() < 2 {
            let half = Tensor::full((), 0.5, predictions.dtype(), predictions.device())?;
            let side = predictions.gt(&half)?;
            let wanted = targets.to_dtype(predictions.dtype())?.gt(&half)?.reshape(side.shape())?;
            return side.eq(&wanted)?.sum_all();
        }
        let labels = match targets.dtype() {
            DType::I64 => targets.clone(),
            DType::U8 => targets.to_dtype(DType::I64)?,
            _ => targets.arg_max(-1)?,
        };
        predictions.arg_max(-1)?.eq(&labels)?.sum_all()
    }
}
