//! What a metric sees of a batch.

use kiln_autograd::Var;
use kiln_nn::losses::laid_over;
use kiln_tensor::{DType, Error, Result, Shape, Tensor};

/// What a metric sees of a batch: an output's predictions, with its targets and what of them counts.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What the output says.
    pub predictions: &'a Tensor,
    /// The same as the model gives it, with the logits of probabilities ([`Var::origin`]).
    pub output: &'a Var,
    /// What it should say. Of one number for each sample, (n,) or (n, 1), in the predictions' shape.
    pub targets: &'a Tensor,
    /// Which targets count, bool (n,) or (n, T); without it all do.
    pub mask: Option<&'a Tensor>,
    /// How much each sample counts, (n,), or each step, (n, T); of a metric that sees no weights none.
    pub weights: Option<&'a Tensor>,
}

fn zero(like: &Tensor) -> Result<Tensor> {
    Tensor::zeros((), like.dtype(), like.device())
}

/// Weights over the first axes of values.
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
    /// All targets count alike.
    pub fn new(output: &'a Var, targets: &'a Tensor) -> Self {
        Seen { predictions: output.tensor(), output, targets, mask: None, weights: None }
    }

    /// How much each value of this shape counts, f64 of that shape: 0 where the mask leaves it out, else its weight, or 1. None where all count
    /// 1. A mask without the first axes of the values is none.
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

    /// Σ factor·value and Σ factor of values whose first axes are those of the targets, each one number in f64: what a mean is made of. Values that
    /// do not count are not looked at, they may be NaN.
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
