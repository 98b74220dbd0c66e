//! Metrics of how scores rank positives before negatives.

use super::area::{Area, average_precision, binned, roc, sorted};
use super::classes::check_labels;
use super::{Metric, MetricState, MetricValue, Seen};
use kiln_nn::ClassAxis;
use kiln_tensor::{DType, Error, Result, Shape, Tensor};
use std::borrow::Cow;

macro_rules! of_scores {
    ($($(#[$doc:meta])* $metric:ident $name:literal $area:path;)+) => {$(
        $(#[$doc])*
        ///
        /// For a single output, targets are 0 and 1. For several outputs with labels, it is the mean over the classes
        /// of each class against the rest (scikit-learn's `multi_class="ovr"`); for targets of the predictions'
        /// shape, the mean over the labels. Scores may be logits or probabilities: only their order matters.
        ///
        /// It is exact: the scores and targets of all batches are kept on their device until the end, 5 to 9 bytes
        /// for each number and 8 for each target. With `thresholds` only a histogram of probabilities is kept, as
        /// Keras does with 200 thresholds.
        ///
        /// It is undefined if all targets are of one class: the number is NaN, and
        /// [`Evaluation::undefined`](crate::Evaluation::undefined) gives the reason.
        #[derive(Clone, Copy, Debug)]
        pub struct $metric {
            settings: Settings,
        }

        impl Default for $metric {
            fn default() -> Self {
                $metric::new()
            }
        }

        impl $metric {
            /// The exact value.
            pub const fn new() -> Self {
                $metric { settings: Settings { thresholds: None, axis: ClassAxis::BY_RANK } }
            }

            /// The value from this number of thresholds, at least 2, evenly spaced from 0 to 1: scores between two
            /// thresholds count as equal. It is for probabilities. Another number, or a score outside 0 to 1, is an
            /// error with its batch.
            #[must_use]
            pub const fn thresholds(self, thresholds: usize) -> Self {
                $metric { settings: Settings { thresholds: Some(thresholds), ..self.settings } }
            }

            /// The axis of classes; the batch is axis 0, negative ones count from the end.
            #[must_use]
            pub const fn axis(self, axis: isize) -> Self {
                $metric { settings: Settings { axis: ClassAxis::at(axis), ..self.settings } }
            }
        }

        impl Metric for $metric {
            fn name(&self) -> Cow<'static, str> {
                $name.into()
            }
            fn larger_is_better(&self) -> Option<bool> {
                Some(true)
            }
            fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
                self.settings.update($name, state, seen)
            }
            fn value(&self, state: &MetricState) -> Result<MetricValue> {
                self.settings.value(state, $area)
            }
        }
    )+};
}
of_scores! {
    /// Area under the ROC curve: the probability that a random positive has a higher score than a random negative;
    /// equal scores count half (scikit-learn's `roc_auc_score`).
    Auc "auc" roc;
    /// Average precision: the sum over the thresholds of the precision times the increase in recall (scikit-learn's
    /// `average_precision_score`).
    AveragePrecision "average_precision" average_precision;
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    thresholds: Option<usize>,
    axis: ClassAxis,
}

impl Settings {
    fn update(&self, name: &'static str, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let rows = Rows::read(name, seen, self.axis)?;
        let Some(thresholds) = self.thresholds else {
            let ones = || Tensor::ones([rows.scores.dims()[0]], DType::F64, rows.scores.device());
            let factors = rows.factors.clone().map_or_else(ones, Ok)?;
            state.keep("scores", rows.scores)?;
            state.keep("positive", rows.positive)?;
            return state.keep("factors", factors);
        };
        if thresholds < 2 {
            return Err(Error::value(name, format!("at least 2 thresholds are needed, got {thresholds}")));
        }
        state.add("histogram", &rows.histogram(name, thresholds)?)
    }

    fn value(&self, state: &MetricState, area: Area) -> Result<MetricValue> {
        let labels = match self.thresholds {
            Some(thresholds) => binned(&state.sums("histogram")?, thresholds),
            None => sorted(state)?,
        };
        let count = labels.len();
        let mut sum = 0.0;
        for (label, groups) in labels.iter().enumerate() {
            match groups.as_ref().map_err(|why| *why).and_then(|groups| area(groups)) {
                Ok(area) => sum += area,
                Err(why) if count == 1 => return Ok(MetricValue::Undefined(why.to_owned())),
                Err(why) => return Ok(MetricValue::Undefined(format!("class {label}: {why}"))),
            }
        }
        if count == 0 {
            return Ok(MetricValue::no_targets());
        }
        Ok((sum / count as f64).into())
    }
}

/// A batch's scores as rows (N, labels).
struct Rows {
    scores: Tensor,
    /// bool (N, labels)
    positive: Tensor,
    /// f64 (N,)
    factors: Option<Tensor>,
}

impl Rows {
    fn read(name: &'static str, seen: &Seen<'_>, axis: ClassAxis) -> Result<Self> {
        let (predictions, targets) = (seen.predictions, seen.targets);
        let rank = predictions.rank();
        let axis = axis.of(name, predictions.shape())?;
        let single = rank < 2;
        let labels = if single { 1 } else { predictions.dims()[axis] };
        let mut order: Vec<usize> = (0..rank).filter(|&other| single || other != axis).collect();
        let each: Vec<usize> = order.iter().map(|&other| predictions.dims()[other]).collect();
        let count: usize = each.iter().product();
        if !single {
            order.push(axis);
        }
        let rows = |values: &Tensor| values.permute(&order)?.reshape([count, labels]);
        let factors = seen.factors(&Shape::new(&each)?)?;
        let factors = factors.map(|factors| factors.reshape([count])).transpose()?;
        let half = |like: &Tensor| Tensor::full((), 0.5, like.dtype(), like.device());
        let positive = if targets.shape() == predictions.shape() {
            let targets = rows(targets)?.to_dtype(DType::F32)?;
            targets.gt(&half(&targets)?)?
        } else if !targets.dtype().is_float() && labels > 1 && targets.elements() == count {
            let mut classes = targets.to_dtype(DType::I64)?.reshape([count])?;
            if let Some(factors) = &factors {
                let counts = factors.gt(&Tensor::zeros((), DType::F64, factors.device())?)?;
                classes = Tensor::select(&counts, &classes, &Tensor::zeros((), DType::I64, counts.device())?)?;
            }
            check_labels(name, &classes, labels)?;
            classes.reshape([count, 1])?.eq(&Tensor::arange(labels, classes.device())?)?
        } else {
            let message = format!(
                "targets {} {} for predictions {}: labels, or targets of their shape, are expected",
                targets.dtype(),
                targets.shape(),
                predictions.shape()
            );
            return Err(Error::shape(name, message));
        };
        let wide = if predictions.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        Ok(Rows {
            scores: rows(&predictions.to_dtype(wide)?)?,
            positive,
            factors,
        })
    }

    /// The weights of positives and of negatives between each threshold and the one before, f64 (2, labels,
    /// thresholds).
    fn histogram(&self, name: &'static str, thresholds: usize) -> Result<Tensor> {
        let (count, labels) = (self.scores.dims()[0], self.scores.dims()[1]);
        let device = self.scores.device();
        let wide = self.scores.to_dtype(DType::F64)?;
        let factors = match &self.factors {
            Some(factors) => factors.reshape([count, 1])?.broadcast_to([count, labels])?.contiguous()?,
            None => Tensor::ones([count, labels], DType::F64, device)?,
        };
        let zero = Tensor::zeros((), DType::F64, device)?;
        let wide = Tensor::select(&factors.gt(&zero)?, &wide, &zero)?;
        if device.backend().is_host()
            && let Some(score) = wide.to_f64_vec()?.into_iter().find(|score| !(0.0..=1.0).contains(score))
        {
            return Err(Error::value(name, format!("a score is {score}, thresholds are for probabilities from 0 to 1")));
        }
        // Threshold j is j/(thresholds − 1), the first one a little below 0: what is equal to one is not above it.
        let last = (thresholds - 1) as f64;
        let bins = wide.mul_scalar(last)?.ceil()?.clamp(1.0, last)?.to_dtype(DType::I64)?;
        let offset = |size: usize, step: usize| {
            let starts: Vec<i64> = (0..size as i64).map(|at| at * step as i64).collect();
            Tensor::from_slice(&starts, [size], device)
        };
        let bins = bins.add(&offset(labels, thresholds)?)?;
        let is_negative = self.positive.logical_not()?.to_dtype(DType::I64)?;
        let half = Tensor::scalar((labels * thresholds) as i64, device)?;
        let index = bins.add(&is_negative.mul(&half)?)?.reshape([count * labels])?;
        let mut sums = Tensor::zeros([2 * labels * thresholds], DType::F64, device)?;
        sums.index_add_assign(0, &index, &factors.reshape([count * labels])?)?;
        sums.reshape([2, labels, thresholds])
    }
}
