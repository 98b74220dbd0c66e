//! How often the largest output is the right one.

use super::MeanMetric;
use kiln_nn::ClassAxis;
use kiln_nn::losses::aligned;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};

/// The share of targets whose class is the largest output; for a single output, whose side of ½ is. Of sequences with a
/// target for each step, the share of steps, of maps that of pixels. Where the classes are: [`ClassAxis`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy;

/// [`Accuracy`] with classes along another axis.
#[derive(Clone, Copy, Debug)]
pub struct AccuracyAlong(ClassAxis);

impl Accuracy {
    /// With classes along this axis of the predictions, the batch's being 0; negative ones count from the end.
    pub const fn axis(self, axis: isize) -> AccuracyAlong {
        AccuracyAlong(ClassAxis::at(axis))
    }
}

impl MeanMetric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn takes_steps(&self) -> bool {
        true
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        right(predictions, targets, ClassAxis::BY_RANK)
    }
}

impl MeanMetric for AccuracyAlong {
    fn name(&self) -> &'static str {
        "accuracy"
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        right(predictions, targets, self.0)
    }
}

/// Whether each target's class is what the predictions say.
pub(super) fn right(predictions: &Tensor, targets: &Tensor, classes: ClassAxis) -> Result<Tensor> {
    let targets = &aligned(targets, predictions.shape())?;
    let axis = if predictions.rank() == 0 { 0 } else { classes.of("accuracy", predictions.shape())? };
    if predictions.rank() < 2 || predictions.dims()[axis] == 1 {
        let half = Tensor::full((), 0.5, predictions.dtype(), predictions.device())?;
        let wanted = targets.to_dtype(predictions.dtype())?.gt(&half)?;
        return predictions.gt(&half)?.eq(&paired(wanted, predictions.shape(), predictions.shape(), axis)?);
    }
    let said = predictions.argmax(axis)?;
    let labels = match targets.dtype() {
        dtype if dtype.is_integer() => targets.to_dtype(DType::I64)?,
        _ if targets.rank() == predictions.rank() => targets.argmax(axis)?,
        _ => {
            return Err(Error::new(
                ErrorKind::DType,
                "accuracy",
                format!(
                    "targets {} {} for predictions {}: labels of integers, or one-hot targets of their shape, are expected",
                    targets.dtype(),
                    targets.shape(),
                    predictions.shape()
                ),
            ));
        }
    };
    said.eq(&paired(labels, said.shape(), predictions.shape(), axis)?)
}

/// One target for each of `each`: an axis of one class makes no difference, but nothing is broadcast without a word.
fn paired(targets: Tensor, each: &Shape, predictions: &Shape, axis: usize) -> Result<Tensor> {
    if targets.shape() == each {
        return Ok(targets);
    }
    let without_one = |dims: &[usize]| {
        let mut rest = dims.to_vec();
        if rest.len() == predictions.rank() && rest.len() > 1 && rest[axis] == 1 {
            rest.remove(axis);
        }
        rest
    };
    if without_one(targets.dims()) == without_one(each) {
        return targets.reshape(each);
    }
    let dims = predictions.dims();
    let fits = |&other: &usize| other != axis && [&dims[..other], &dims[other + 1..]].concat() == targets.dims();
    let remedy = match (1..dims.len()).find(fits) {
        Some(axis) => format!("; along axis {axis} they would fit: `Accuracy.axis({axis})`"),
        None => String::new(),
    };
    Err(Error::shape(
        "accuracy",
        format!(
            "targets {} for predictions {predictions} with classes along axis {axis}: one for each of {each} is needed{remedy}",
            targets.shape()
        ),
    ))
}
