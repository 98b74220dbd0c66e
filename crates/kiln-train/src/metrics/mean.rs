//! Metrics that are the mean of a number per target.

use super::count::summed;
use super::{Count, Measured, Metric, MetricState, MetricValue, Seen};
use kiln_nn::losses::{aligned, expect_own_targets, laid_over};
use kiln_tensor::{DType, Result, Shape, Tensor};
use std::borrow::Cow;

/// A metric that is the mean of a number per target over an epoch: the short way to write a [`Metric`].
///
/// Targets that a mask leaves out do not count. Sample weights are not used, as with Keras's `metrics`;
/// [`Weighted`](super::all::Weighted) uses them.
///
/// ```
/// use kiln_tensor::{Result, Tensor};
/// use kiln_train::MeanMetric;
///
/// /// |p − t|
/// struct Distance;
/// impl MeanMetric for Distance {
///     fn name(&self) -> &'static str {
///         "distance"
///     }
///     fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
///         predictions.sub(targets)?.abs()
///     }
/// }
/// ```
pub trait MeanMetric: Send + Sync {
    /// The name in histories and logs.
    fn name(&self) -> &'static str;

    /// The value of each target: (n,) for one a sample, (n, T) for one a step, or more axes.
    ///
    /// # Errors
    /// Predictions and targets that do not fit each other.
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor>;

    /// Whether a larger value is better, where that is known; [`EarlyStopping`](crate::EarlyStopping) goes by it.
    fn larger_is_better(&self) -> Option<bool> {
        None
    }

    /// As [`Metric::takes_steps`]: whether the values of a step follow from that step alone.
    fn takes_steps(&self) -> bool {
        false
    }

    /// The sum of the values that count, and their number. For one number a sample, the targets may be (n,) or (n,
    /// 1): [`MeanMetric::each`] gets them in the predictions' shape. A mask is bool (n, T); values without these axes
    /// all count.
    ///
    /// # Errors
    /// As [`MeanMetric::each`].
    fn measure(&self, predictions: &Tensor, targets: &Tensor, mask: Option<&Tensor>) -> Result<Measured> {
        let each = own_values(self, predictions, &filled(targets, mask)?)?;
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

/// The targets, with 0 for labels that the mask leaves out, which may be outside the classes.
pub(super) fn filled(targets: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let mask = mask.filter(|_| !targets.dtype().is_float()).map(|mask| laid_over(mask, targets.shape())).transpose()?;
    match mask.flatten() {
        Some(mask) => Tensor::select(&mask, targets, &Tensor::zeros((), targets.dtype(), targets.device())?),
        None => Ok(targets.clone()),
    }
}

/// The values, each of a prediction and its own target.
fn own_values<M: MeanMetric + ?Sized>(metric: &M, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let targets = &aligned(targets, predictions.shape())?;
    let each = metric.each(predictions, targets)?;
    expect_own_targets(metric.name(), each.shape(), predictions.shape(), targets.shape())?;
    Ok(each)
}

impl<M: MeanMetric> Metric for M {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(MeanMetric::name(self))
    }

    fn larger_is_better(&self) -> Option<bool> {
        MeanMetric::larger_is_better(self)
    }

    fn takes_steps(&self) -> bool {
        MeanMetric::takes_steps(self)
    }

    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        if seen.weights.is_none() {
            let Measured { sum, count } = self.measure(seen.predictions, seen.targets, seen.mask)?;
            return state.mean.add_sum(&sum, &count);
        }
        let targets = filled(seen.targets, seen.mask)?;
        let [sum, count] = seen.total(&own_values(self, seen.predictions, &targets)?)?;
        let count = if count.device().backend().is_host() { Count::Known(count.item()?) } else { Count::There(count) };
        state.mean.add_sum(&sum, &count)
    }

    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        state.mean.mean().map(MetricValue::Number)
    }
}
