//! The cross-entropy of a last layer over a large vocabulary, which computes some rows of logits at a time.

use super::counting::{Counting, Counts, Reduction, counted, expect_over, share};
use super::{Loss, computed_in, is_label};
use crate::Projection;
use kiln_autograd::Var;
use kiln_tensor::{CrossEntropyOptions, Result, Shape, Tensor};

/// The reduced loss, as `counting::reduced` computes it. None where the targets are not labels of these outputs: the loss of the computed
/// output then gives the error.
pub(super) fn reduced<L: Loss>(
    loss: &L,
    output: &Projection,
    target: &Tensor,
    counting: Counting<'_>,
    reduction: Reduction,
    options: CrossEntropyOptions,
) -> Result<Option<Var>> {
    let [leading @ .., _] = output.shape().dims() else { return Ok(None) };
    let leading = Shape::new(leading)?;
    let count = leading.elements();
    if count == 0 || !is_label(target.dtype()) || target.elements() != count || !target.dims().starts_with(&leading) {
        return Ok(None);
    }
    let dtype = output.hidden().dtype();
    let counts = counted(loss, &target.reshape(leading)?, counting, computed_in(dtype))?;
    let width = output.hidden().dims().last().copied().unwrap_or(1);
    let (mut hidden, mut labels) = (output.hidden().reshape([count, width])?, target.reshape([count])?);
    let flat = |x: &Tensor| x.broadcast_to(leading)?.reshape([count]);
    if let Some(used) = &counts.used {
        // What is not used may be NaN: it is taken out before anything is computed of it.
        let what = if counts.mask.is_some() { "a mask" } else { "weights" };
        let used = flat(&expect_over(loss.name(), what, used, &leading)?)?;
        let zero = Tensor::zeros((), hidden.dtype(), hidden.device())?;
        hidden = Var::select(&used.unsqueeze(1)?, &hidden, &Var::constant(zero))?;
        labels = Tensor::select(&used, &labels, &Tensor::zeros((), labels.dtype(), labels.device())?)?;
    }
    let factors = factors(loss, &counts, &leading, reduction, hidden.tensor())?;
    let sum = hidden.linear_cross_entropy(output.weight(), output.bias(), &labels, Some(&factors), options)?;
    sum.to_dtype(dtype).map(Some)
}

/// What each loss is multiplied by in the sum, (count,): its weight, 0 where it is not used, over the number of losses of a mean.
fn factors<L: Loss>(loss: &L, counts: &Counts, leading: &Shape, reduction: Reduction, like: &Tensor) -> Result<Tensor> {
    let Counts { mask, weights, used } = counts;
    let (count, dtype) = (leading.elements(), computed_in(like.dtype()));
    let one = if reduction == Reduction::Sum { 1.0 } else { 1.0 / count as f64 };
    let mut factors = Tensor::full(leading, one, dtype, like.device())?;
    if let Some(weights) = weights {
        factors = factors.mul(&expect_over(loss.name(), "weights", weights, leading)?)?;
    }
    if let Some(used) = used {
        let zero = Tensor::zeros((), dtype, like.device())?;
        factors = Tensor::select(&expect_over(loss.name(), "a mask", used, leading)?, &factors, &zero)?;
    }
    if let Some(mask) = mask.as_ref().filter(|_| reduction == Reduction::Mean) {
        factors = factors.div(&share(mask)?.to_dtype(dtype)?)?;
    }
    factors.reshape([count])
}
