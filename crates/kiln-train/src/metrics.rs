//! Metrics: what is reported beside the loss.

use kiln_nn::ClassAxis;
use kiln_nn::losses::{aligned, expect_own_targets};
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};
use std::borrow::Cow;

/// A number per target that is averaged over an epoch.
///
/// What a mask leaves out does not count. Weights of samples and classes are for the loss alone, as Keras's `metrics` see
/// none.
///
/// ```
/// use kiln_tensor::{Result, Tensor};
/// use kiln_train::Metric;
///
/// /// |p − t|
/// struct Distance;
/// impl Metric for Distance {
///     fn name(&self) -> &'static str {
///         "distance"
///     }
///     fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
///         predictions.sub(targets)?.abs()
///     }
/// }
/// ```
pub trait Metric: Send + Sync {
    /// The name in histories and logs.
    fn name(&self) -> &'static str;

    /// The output that it measures, by its name; without one the model's first.
    fn output(&self) -> Option<&str> {
        None
    }

    /// What histories and logs call it: its name, and of a named output that before it, `digit_accuracy`.
    fn label(&self) -> Cow<'static, str> {
        match self.output() {
            None => Cow::Borrowed(self.name()),
            Some(output) => Cow::Owned(format!("{output}_{}", self.name())),
        }
    }

    /// The value of each target: (n,) of one a sample, (n, T) of one a step, or with more axes.
    ///
    /// # Errors
    /// Predictions and targets that do not fit each other.
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor>;

    /// The sum of the values that count, and how many they are. Of one number for each sample, the targets may be (n,) or
    /// (n, 1): [`Metric::each`] is given them in the predictions' shape. A mask is bool (n, T); of values that have no such axes all
    /// count.
    ///
    /// # Errors
    /// As [`Metric::each`].
    fn measure(&self, predictions: &Tensor, targets: &Tensor, mask: Option<&Tensor>) -> Result<Measured> {
        let targets = &aligned(targets, predictions.shape())?;
        let each = self.each(predictions, targets)?;
        expect_own_targets(self.name(), each.shape(), predictions.shape(), targets.shape())?;
        let Some(mask) = mask.filter(|mask| each.dims().starts_with(mask.dims())) else {
            return Ok(Measured { count: Count::Known(each.elements() as f64), sum: summed(&each)? });
        };
        let mut dims = mask.dims().to_vec();
        dims.resize(each.rank(), 1);
        let per_step = each.elements() as f64 / mask.elements().max(1) as f64;
        let each = if each.dtype().is_float() { each } else { each.to_dtype(DType::F32)? };
        // Not multiplied by 0: what is left out may be NaN.
        let zero = Tensor::zeros((), each.dtype(), each.device())?;
        let counted = Tensor::select(&mask.reshape(Shape::new(&dims)?)?, &each, &zero)?;
        Ok(Measured { sum: summed(&counted)?, count: Count::of(mask)?.times(per_step)? })
    }
}

/// A metric of one output of several.
pub(crate) struct OfOutput<M> {
    pub(crate) output: String,
    pub(crate) metric: M,
}

impl<M: Metric> Metric for OfOutput<M> {
    fn name(&self) -> &'static str {
        self.metric.name()
    }
    fn output(&self) -> Option<&str> {
        Some(&self.output)
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.metric.each(predictions, targets)
    }
    fn measure(&self, predictions: &Tensor, targets: &Tensor, mask: Option<&Tensor>) -> Result<Measured> {
        self.metric.measure(predictions, targets, mask)
    }
}

/// A metric's sum over a batch: one number on the predictions' device, where it is left until the epoch ends, for reading it
/// would stop the device.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The sum of the values that count.
    pub sum: Tensor,
    /// How many they are.
    pub count: Count,
}

/// A number of things that count.
#[derive(Clone, Debug)]
pub enum Count {
    /// The host knows it.
    Known(f64),
    /// A tensor of one element, on a device that the host would have to wait for.
    There(Tensor),
}

impl Count {
    /// How many elements of a mask are true.
    ///
    /// # Errors
    /// Out of memory.
    pub fn of(mask: &Tensor) -> Result<Self> {
        if mask.device().backend().is_host() {
            let mask = mask.contiguous()?;
            return Ok(Count::Known(mask.as_slice::<bool>()?.iter().filter(|&&counts| counts).count() as f64));
        }
        mask.to_dtype(DType::F64)?.sum_all().map(Count::There)
    }

    fn times(self, factor: f64) -> Result<Self> {
        Ok(match self {
            Count::Known(count) => Count::Known(count * factor),
            Count::There(count) => Count::There(count.mul_scalar(factor)?),
        })
    }
}

/// The sum of all; of truth values how many are true.
fn summed(each: &Tensor) -> Result<Tensor> {
    match each.dtype() {
        // Half types could not count far.
        DType::F16 | DType::BF16 => each.to_dtype(DType::F32)?.sum_all(),
        _ => each.sum_all(),
    }
}

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

impl Metric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        right(predictions, targets, ClassAxis::BY_RANK)
    }
}

impl Metric for AccuracyAlong {
    fn name(&self) -> &'static str {
        "accuracy"
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        right(predictions, targets, self.0)
    }
}

/// Whether each target's class is what the predictions say.
fn right(predictions: &Tensor, targets: &Tensor, classes: ClassAxis) -> Result<Tensor> {
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
