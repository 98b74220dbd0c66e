//! Metrics: what is reported beside the loss.

use kiln_tensor::{DType, Error, Result, Shape, Tensor};

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

/// The share of samples whose largest output is the target's class; for a single output, whose side of ½ is. Of sequences
/// with a target for each step, the share of steps.
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
            let wanted = targets.to_dtype(predictions.dtype())?.gt(&half)?;
            let side = predictions.gt(&half)?;
            return per_sample(side.eq(&paired(wanted, side.shape())?)?);
        }
        let said = predictions.arg_max(-1)?;
        let labels = match targets.dtype() {
            DType::I64 | DType::U8 => targets.to_dtype(DType::I64)?,
            _ => targets.arg_max(-1)?,
        };
        per_sample(said.eq(&paired(labels, said.shape())?)?)
    }
}

/// The sum over samples of the share that is right of each: of the steps of a sequence, say.
fn per_sample(right: Tensor) -> Result<Tensor> {
    let each: usize = right.dims().iter().skip(1).product();
    if each <= 1 {
        return right.sum_all();
    }
    right.to_dtype(DType::F32)?.sum_all()?.mul_scalar(1.0 / each as f64)
}

/// One target for each prediction: (n, 1) is as good as (n,), but nothing is broadcast without a word.
fn paired(targets: Tensor, predictions: &Shape) -> Result<Tensor> {
    fn without_column(dims: &[usize]) -> &[usize] {
        if let [front @ .., 1] = dims
            && !front.is_empty()
        {
            front
        } else {
            dims
        }
    }
    if targets.shape() == predictions {
        return Ok(targets);
    }
    if without_column(targets.dims()) == without_column(predictions) {
        return targets.reshape(predictions);
    }
    Err(Error::shape(
        "accuracy",
        format!("targets of shape {} for predictions of {predictions}: one for each is needed", targets.shape()),
    ))
}
