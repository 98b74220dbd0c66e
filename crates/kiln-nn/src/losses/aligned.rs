//! Which number of the targets belongs to which of the predictions.

use super::Loss;
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape, Tensor};

/// The targets in the predictions' shape where the two differ by axes of size 1 at the end alone: (n,) and (n, 1) are both one
/// number for each sample. Other targets are given back as they are.
///
/// # Errors
/// Out of memory.
pub fn aligned(target: &Tensor, prediction: &Shape) -> Result<Tensor> {
    if target.shape() != prediction && without_ones(target.dims()) == without_ones(prediction) {
        return target.reshape(prediction);
    }
    Ok(target.clone())
}

/// The axes up to the last one that is not 1; the first one always stays.
fn without_ones(mut dims: &[usize]) -> &[usize] {
    while let [front @ .., 1] = dims
        && !front.is_empty()
    {
        dims = front;
    }
    dims
}

/// Fails where values of a loss or a metric, found by broadcasting, compare a sample with the targets of others: (n,) against
/// (n, 1, 2) gives (n, n, 2), and (n, n) against (n,) gives (n, n). So of predictions and targets with the same number of axes the
/// first must be equal, and of others the values have no more axes than either.
///
/// # Errors
/// Such values.
pub fn expect_own_targets(operation: &'static str, values: &Shape, prediction: &Shape, target: &Shape) -> Result<()> {
    let own = if prediction.rank() == target.rank() {
        prediction.first() == target.first()
    } else {
        values.rank() <= prediction.rank().min(target.rank())
    };
    if own { Ok(()) } else { Err(misfit(operation, prediction, target)) }
}

#[cold]
pub(super) fn misfit(operation: &'static str, prediction: &Shape, target: &Shape) -> Error {
    let remedy = if prediction.elements() == target.elements() {
        "give both the same shape with `reshape`"
    } else {
        "the last layer's size must be that of the targets"
    };
    Error::shape(operation, format!("predictions have shape {prediction}, targets {target}; {remedy}"))
}

/// As [`aligned`], of targets that may have a gradient.
pub(super) fn aligned_var(target: &Var, prediction: &Shape) -> Result<Var> {
    if target.shape() != prediction && without_ones(target.dims()) == without_ones(prediction) {
        return target.reshape(*prediction);
    }
    Ok(target.clone())
}

/// The targets as [`Loss::each`] takes them: [`aligned`], where there is a loss for each number.
///
/// # Errors
/// Out of memory.
pub fn targets_for<L: Loss + ?Sized>(loss: &L, prediction: &Shape, target: &Tensor) -> Result<Tensor> {
    // Predictions without an axis of classes are refused by the loss itself.
    if matches!(loss.class_axis(prediction), Ok(None)) { aligned(target, prediction) } else { Ok(target.clone()) }
}

/// As [`targets_for`], of targets that may have a gradient.
pub(super) fn var_targets_for<L: Loss + ?Sized>(loss: &L, prediction: &Shape, target: &Var) -> Result<Var> {
    if matches!(loss.class_axis(prediction), Ok(None)) { aligned_var(target, prediction) } else { Ok(target.clone()) }
}

/// The losses of a batch, each of a prediction and its own target.
pub(super) fn losses<L: Loss + ?Sized>(loss: &L, prediction: &Var, target: &Var) -> Result<Var> {
    let target = var_targets_for(loss, prediction.shape(), target)?;
    let each = loss.each(prediction, &target)?;
    expect_own_targets(loss.name(), each.shape(), prediction.shape(), target.shape())?;
    Ok(each)
}
