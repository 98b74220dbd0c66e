//! What of a batch counts, and how much: masks and weights.

use super::aligned::{losses, var_targets_for};
use super::{Loss, check, computed_in};
use kiln_autograd::{Squash, Var};
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};

/// Which losses of a batch count, and how much each. Both are laid over the first axes of the losses ([`Loss::each`]).
#[derive(Clone, Copy, Default, Debug)]
pub struct Counting<'a> {
    /// bool (n, T): which steps count at all; without it all do.
    pub mask: Option<&'a Tensor>,
    /// Floats (n,) or (n, T): by how much each loss is multiplied; without them by 1.
    pub weights: Option<&'a Tensor>,
}

/// What is made of the losses of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// Their sum over the number of those that count.
    Mean,
    /// Their sum.
    Sum,
}

/// Σ weight·loss / number of losses that the mask leaves; see [`Loss::counted`].
pub(super) fn reduced<L: Loss + ?Sized>(
    loss: &L,
    prediction: &Var,
    target: &Var,
    counting: Counting<'_>,
) -> Result<Var> {
    let Counts { mask, weights, used } = counted(loss, target.tensor(), counting, computed_in(prediction.dtype()))?;
    if mask.is_none() && weights.is_none() {
        let each = losses(loss, prediction, target)?;
        let value = if loss.reduction() == Reduction::Sum { each.sum_all() } else { each.mean_all() };
        return value?.to_dtype(prediction.dtype());
    }
    let target = &var_targets_for(loss, prediction.shape(), target)?;
    let each = match &used {
        // What is not used is 0 before anything is computed of it: multiplied by 0 afterwards, NaN would stay NaN.
        Some(used) => {
            let classes = loss.class_axis(prediction.shape())?;
            let filled = filled_prediction(prediction, used, classes)?;
            losses(loss, &filled, &filled_target(target, used, prediction.shape(), classes)?)?
        }
        None => losses(loss, prediction, target)?,
    };
    let over = |tensor: &Tensor, what: &str| expect_over(loss.name(), what, tensor, each.shape());
    let mut sum = each.clone();
    if let Some(weights) = &weights {
        sum = sum.mul(&Var::constant(over(weights, "weights")?.to_dtype(each.dtype())?))?;
    }
    if let Some(used) = &used {
        // A custom loss may not be 0 or not be finite of zeros.
        let zero = Var::constant(Tensor::zeros((), each.dtype(), each.device())?);
        sum = Var::select(&over(used, if mask.is_some() { "a mask" } else { "weights" })?, &sum, &zero)?;
    }
    if loss.reduction() == Reduction::Sum {
        return sum.sum_all()?.to_dtype(prediction.dtype());
    }
    let Some(mask) = mask else { return sum.mean_all()?.to_dtype(prediction.dtype()) };
    sum.mean_all()?.div(&Var::constant(share(&mask)?.to_dtype(each.dtype())?))?.to_dtype(prediction.dtype())
}

/// What counts of a batch, as a loss goes by it.
pub(super) struct Counts {
    /// What counts in the mean; without it all does.
    pub(super) mask: Option<Tensor>,
    /// By how much each loss is multiplied.
    pub(super) weights: Option<Tensor>,
    /// What the mask leaves and has a weight above 0; without it all is used.
    pub(super) used: Option<Tensor>,
}

/// What counts, by the mask, the weights and the targets themselves; weights in the type that the loss is computed in.
pub(super) fn counted<L: Loss + ?Sized>(
    loss: &L,
    target: &Tensor,
    counting: Counting<'_>,
    dtype: DType,
) -> Result<Counts> {
    let Counting { mask, weights } = counting;
    let own = loss.counts(target)?;
    if let Some(mask) = mask.filter(|mask| mask.dtype() != DType::Bool) {
        return Err(Error::new(
            ErrorKind::DType,
            loss.name(),
            format!("the mask is {} {}, expected bool, true where a target counts", mask.dtype(), mask.shape()),
        ));
    }
    let mask = match (mask, own) {
        (Some(mask), Some(own)) => Some(and(mask, &own)?),
        (mask, own) => own.or_else(|| mask.cloned()),
    };
    let weights = weights.map(|weights| checked(weights, dtype)).transpose()?;
    let used = used(mask.as_ref(), weights.as_ref())?;
    Ok(Counts { mask, weights, used })
}

/// The share of the steps that a mask leaves, of at least one: of each step there may be several losses. f64.
pub(super) fn share(mask: &Tensor) -> Result<Tensor> {
    let steps = mask.elements().max(1) as f64;
    mask.to_dtype(DType::F64)?.sum_all()?.clamp(1.0, f64::INFINITY)?.mul_scalar(1.0 / steps)
}

/// Weights in the type that the loss is computed in, held to be such.
fn checked(weights: &Tensor, dtype: DType) -> Result<Tensor> {
    let weights = weights.to_dtype(dtype)?;
    check::within("sample_weight", "weight", &weights, 0.0, f64::MAX)?;
    Ok(weights)
}

/// bool: what the mask leaves and has a weight above 0; none where all is used, as far as the host can see.
fn used(mask: Option<&Tensor>, weights: Option<&Tensor>) -> Result<Option<Tensor>> {
    let above = match weights {
        Some(weights) if !all_above_zero(weights)? => {
            Some(weights.gt(&Tensor::zeros((), weights.dtype(), weights.device())?)?)
        }
        _ => None,
    };
    match (mask, above) {
        (Some(mask), Some(above)) => and(mask, &above).map(Some),
        (mask, above) => Ok(above.or_else(|| mask.cloned())),
    }
}

/// Both, the one of fewer axes laid over the first of the other.
fn and(mask: &Tensor, other: &Tensor) -> Result<Tensor> {
    let (long, short) = if mask.rank() < other.rank() { (other, mask) } else { (mask, other) };
    let short =
        laid_over(short, long.shape())?.ok_or_else(|| misfit("sample_weight", "weights", short, long.shape()))?;
    long.logical_and(&short)
}

/// Whether the host can see that no weight is 0.
fn all_above_zero(weights: &Tensor) -> Result<bool> {
    if !weights.device().backend().is_host() {
        return Ok(false);
    }
    Ok(weights.to_f64_vec()?.iter().all(|&weight| weight > 0.0))
}

/// A mask or weights laid over the first axes of such a shape: with as many axes as it, which broadcast to it. None where it does
/// not fit.
///
/// # Errors
/// Out of memory.
pub fn laid_over(tensor: &Tensor, shape: &Shape) -> Result<Option<Tensor>> {
    let mut dims = tensor.dims();
    while let [front @ .., 1] = dims
        && dims.len() > shape.rank()
    {
        dims = front;
    }
    let fits = |(axis, (&a, &b)): (usize, (&usize, &usize))| a == b || a == 1 && axis > 0;
    if dims.len() > shape.rank() || !dims.iter().zip(shape.iter()).enumerate().all(fits) {
        return Ok(None);
    }
    let mut laid = dims.to_vec();
    laid.resize(shape.rank(), 1);
    tensor.reshape(Shape::new(&laid)?).map(Some)
}

/// As [`laid_over`], where nothing else than that fits.
pub(super) fn expect_over(loss: &'static str, what: &str, tensor: &Tensor, losses: &Shape) -> Result<Tensor> {
    laid_over(tensor, losses)?.ok_or_else(|| misfit(loss, what, tensor, losses))
}

/// As [`laid_over`], of predictions or what has their axes: the axis of classes is left free.
fn over_predictions(tensor: &Tensor, shape: &Shape, classes: Option<usize>) -> Result<Option<Tensor>> {
    let Some(axis) = classes else { return laid_over(tensor, shape) };
    let mut dims = shape.to_vec();
    dims.remove(axis);
    laid_over(tensor, &Shape::new(&dims)?)?.map(|laid| laid.unsqueeze(axis)).transpose()
}

/// The predictions, those that are not used replaced by what a logit of 0 gives. Gradients do not reach them.
fn filled_prediction(prediction: &Var, used: &Tensor, classes: Option<usize>) -> Result<Var> {
    let Some(used) = over_predictions(used, prediction.shape(), classes)? else { return Ok(prediction.clone()) };
    let zeros = |shape: Shape| Tensor::zeros(shape, prediction.dtype(), prediction.device()).map(Var::constant);
    let filler = match prediction.origin().map(|origin| origin.squash()) {
        // With an origin of its own, the whole keeps one.
        Some(Squash::Sigmoid) => zeros(Shape::SCALAR)?.sigmoid()?,
        Some(Squash::Softmax { axis }) => {
            let mut dims = vec![1; prediction.shape().rank()];
            dims[axis] = prediction.dims()[axis];
            zeros(Shape::new(&dims)?)?.softmax(axis)?
        }
        None => zeros(Shape::SCALAR)?,
    };
    Var::select(&used, prediction, &filler)
}

/// The targets, those that are not used replaced by 0.
fn filled_target(target: &Var, used: &Tensor, prediction: &Shape, classes: Option<usize>) -> Result<Var> {
    let laid = if target.shape().rank() == prediction.rank() {
        over_predictions(used, target.shape(), classes)?
    } else {
        laid_over(used, target.shape())?
    };
    let Some(used) = laid else { return Ok(target.clone()) };
    Var::select(&used, target, &Var::constant(Tensor::zeros((), target.dtype(), target.device())?))
}

#[cold]
fn misfit(loss: &'static str, what: &str, tensor: &Tensor, losses: &Shape) -> Error {
    Error::shape(
        loss,
        format!(
            "{what} of shape {} for losses of shape {losses}: one for each sample or each step is needed",
            tensor.shape()
        ),
    )
}
