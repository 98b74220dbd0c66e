//! What a metric sees of a batch.

use kiln_autograd::Var;
use kiln_nn::losses::laid_over;
use kiln_tensor::{DType, Error, Result, Shape, Tensor};

/// What a metric sees of a batch: the predictions and targets of one output, with their mask and weights.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The predictions.
    pub predictions: &'a Tensor,
    /// The predictions as a `Var`, with their logits if they come from a softmax or a sigmoid ([`Var::origin`]).
    pub output: &'a Var,
    /// The targets. For one number a sample, (n,) or (n, 1), they have the predictions' shape.
    pub targets: &'a Tensor,
    /// Which targets count, bool (n,) or (n, T); without a mask all do.
    pub mask: Option<&'a Tensor>,
    /// Sample weights (n,), or (n, T) for steps; none for a metric that does not use them.
    pub weights: Option<&'a Tensor>,
}

fn zero(like: &Tensor) -> Result<Tensor> {
    Tensor::zeros((), like.dtype(), like.device())
}

/// Weights, laid over the first axes of values.
fn laid(weights: &Tensor, values: &Shape) -> Result<Tensor> {
    let Some(laid) = laid_over(&weights.to_dtype(DType::F64)?, values)? else {
        let message =
            format!("weights of shape {} for values of shape {values}: one for each is needed", weights.shape());
        return Err(Error::shape("metric", message));
    };
    if weights.device().backend().is_host()
        && let Some(wrong) = laid.to_f64_vec()?.into_iter().find(|weight| !(0.0..f64::INFINITY).contains(weight))
    {
        return Err(Error::value("metric", format!("a weight is {wrong}, expected 0 or more, and finite")));
    }
    Ok(laid)
}

impl<'a> Seen<'a> {
    /// Without mask and weights.
    pub fn new(output: &'a Var, targets: &'a Tensor) -> Self {
        Seen { predictions: output.tensor(), output, targets, mask: None, weights: None }
    }

    /// The weight of each value, f64 of this shape: 0 where the mask leaves it out, else its sample weight or 1. None
    /// if all are 1. A mask that does not fit the first axes of the values is not used.
    ///
    /// # Errors
    /// Weights that do not fit, are below 0 or not finite.
    pub fn factors(&self, values: &Shape) -> Result<Option<Tensor>> {
        let mask = self.used(values)?;
        let weights = self.weights.map(|weights| laid(weights, values)).transpose()?;
        let factors = match (mask, weights) {
            (None, None) => return Ok(None),
            (Some(mask), None) => mask.to_dtype(DType::F64)?,
            (None, Some(weights)) => weights,
            (Some(mask), Some(weights)) => Tensor::select(&mask, &weights, &zero(&weights)?)?,
        };
        factors.broadcast_to(*values)?.contiguous().map(Some)
    }

    /// Which values of this shape count, as a mask that broadcasts to it.
    pub(super) fn used(&self, values: &Shape) -> Result<Option<Tensor>> {
        Ok(self.mask.map(|mask| laid_over(mask, values)).transpose()?.flatten())
    }

    /// Σ weight·value and Σ weight, each one number in f64, for values whose first axes are those of the targets: the
    /// mean is the first over the second. Values that the mask leaves out may be NaN.
    ///
    /// # Errors
    /// As [`Seen::factors`].
    pub fn total(&self, values: &Tensor) -> Result<[Tensor; 2]> {
        let wide = values.to_dtype(DType::F64)?;
        let Some(factors) = self.factors(values.shape())? else {
            return Ok([wide.sum_all()?, Tensor::scalar(values.elements() as f64, values.device())?]);
        };
        let counts = factors.gt(&zero(&factors)?)?;
        let counted = Tensor::select(&counts, &wide, &zero(&wide)?)?;
        Ok([counted.mul(&factors)?.sum_all()?, factors.sum_all()?])
    }
}
