//! Predictions and targets as classes.

use super::Seen;
use kiln_nn::ClassAxis;
use kiln_tensor::{DType, Error, ErrorKind, Result, Shape, Tensor};

/// How classes are read from predictions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) threshold: f64,
    pub(super) from_logits: bool,
    pub(super) multilabel: bool,
    pub(super) axis: ClassAxis,
}

/// The settings of metrics of classes, which are the field `reading` of each.
macro_rules! class_settings {
    ($($metric:ident),+) => {$(
        impl $metric {
            /// Of a single output, from where on a probability is the positive class: above `threshold`, which is from 0 to 1. ½ by default; another
            /// one is reported with the first batch.
            #[must_use]
            pub fn threshold(mut self, threshold: f64) -> Self {
                self.reading.threshold = threshold;
                self
            }

            /// The single outputs are logits, without a sigmoid. (Of several classes the largest output is the same for both.)
            #[must_use]
            pub fn from_logits(mut self) -> Self {
                self.reading.from_logits = true;
                self
            }

            /// The axis of classes, the batch's being 0; negative ones count from the end. Without it the last one, of maps (rank 4 and more) axis 1.
            #[must_use]
            pub fn axis(mut self, axis: isize) -> Self {
                self.reading.axis = kiln_nn::ClassAxis::at(axis);
                self
            }
        }
    )+};
}
pub(super) use class_settings;

impl Reading {
    pub(super) const NEW: Reading =
        Reading { threshold: 0.5, from_logits: false, multilabel: false, axis: ClassAxis::BY_RANK };

    /// Whether each number is above the threshold, bool.
    pub(super) fn above(&self, metric: &'static str, scores: &Tensor) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&self.threshold) {
            let message = format!("a threshold from 0 to 1 is expected, got {}", self.threshold);
            return Err(Error::value(metric, message));
        }
        let t = self.threshold;
        // σ is not computed: x is as far beyond.
        let at = if self.from_logits { (t / (1.0 - t)).ln() } else { t };
        let wide = if scores.dtype() == DType::F64 { scores.clone() } else { scores.to_dtype(DType::F32)? };
        wide.gt(&Tensor::full((), at, wide.dtype(), wide.device())?)
    }
}

/// Predictions and targets as class numbers, one of each a target.
pub(super) struct Classes {
    /// i64 (N,): what is said, and what it should be.
    pub(super) said: Tensor,
    pub(super) labels: Tensor,
    /// f64 (N,): how much each counts; none where all count 1.
    pub(super) factors: Option<Tensor>,
    pub(super) classes: usize,
}

/// The numbers of the classes, f64 (count,): how much was rightly said to be each, said to be each, and is each.
pub(super) struct Counts {
    pub(super) hits: Tensor,
    pub(super) said: Tensor,
    pub(super) labels: Tensor,
}

impl Classes {
    /// Of one output with a threshold the classes 0 and 1; of several the largest one.
    pub(super) fn read(metric: &'static str, seen: &Seen<'_>, reading: &Reading) -> Result<Self> {
        let predictions = seen.predictions;
        let axis = reading.axis.of(metric, predictions.shape())?;
        if predictions.rank() < 2 || predictions.dims()[axis] == 1 {
            let said = reading.above(metric, predictions)?.to_dtype(DType::I64)?;
            let labels = matching(metric, seen.targets, said.shape(), predictions.shape())?;
            return Classes::flat(metric, seen, said, labels, 2);
        }
        let said = predictions.argmax(axis)?;
        let targets = seen.targets;
        let labels = if targets.shape() == predictions.shape() {
            targets.argmax(axis)?
        } else if targets.dtype().is_float() {
            let message = format!(
                "targets {} {} for predictions {}: labels of integers, or one-hot targets of their shape, are expected",
                targets.dtype(),
                targets.shape(),
                predictions.shape()
            );
            return Err(Error::new(ErrorKind::DType, metric, message));
        } else {
            matching(metric, targets, said.shape(), predictions.shape())?
        };
        Classes::flat(metric, seen, said, labels, predictions.dims()[axis])
    }

    /// What does not count is class 0 in both.
    fn flat(metric: &'static str, seen: &Seen<'_>, said: Tensor, labels: Tensor, classes: usize) -> Result<Self> {
        let each = *said.shape();
        let factors = seen.factors(&each)?.map(|factors| factors.reshape([each.elements()])).transpose()?;
        let flat = |classes: Tensor| classes.reshape([each.elements()]);
        let (said, mut labels) = (flat(said)?, flat(labels)?);
        if let Some(factors) = &factors {
            let counts = factors.gt(&Tensor::zeros((), DType::F64, factors.device())?)?;
            labels = Tensor::select(&counts, &labels, &Tensor::zeros((), DType::I64, labels.device())?)?;
        }
        check_labels(metric, &labels, classes)?;
        Ok(Classes { said, labels, factors, classes })
    }

    /// How much each target counts, f64 (N,).
    pub(super) fn weights(&self) -> Result<Tensor> {
        match &self.factors {
            Some(factors) => Ok(factors.clone()),
            None => Tensor::ones([self.labels.elements()], DType::F64, self.labels.device()),
        }
    }

    pub(super) fn counts(&self) -> Result<Counts> {
        let weights = self.weights()?;
        let by = |index: &Tensor, weights: &Tensor| {
            let mut sums = Tensor::zeros([self.classes], DType::F64, weights.device())?;
            sums.scatter_add(0, index, weights)?;
            Ok::<_, Error>(sums)
        };
        let right = self.said.eq(&self.labels)?.to_dtype(DType::F64)?.mul(&weights)?;
        Ok(Counts {
            hits: by(&self.labels, &right)?,
            said: by(&self.said, &weights)?,
            labels: by(&self.labels, &weights)?,
        })
    }
}

impl Counts {
    /// Of several labels at once: predictions and targets of one shape, the last axis counts labels; each is a class of its own.
    pub(super) fn of_labels(metric: &'static str, seen: &Seen<'_>, reading: &Reading) -> Result<Self> {
        let shape = *seen.predictions.shape();
        let Some(&labels) = shape.last() else {
            return Err(Error::shape(metric, "predictions (n, labels) are expected, got one number"));
        };
        let rows = shape.elements() / labels.max(1);
        let said = reading.above(metric, seen.predictions)?;
        let targets = matching(metric, seen.targets, &shape, &shape)?.to_dtype(DType::Bool)?;
        let factors = match seen.factors(&shape)? {
            Some(factors) => factors,
            None => Tensor::ones(shape, DType::F64, said.device())?,
        };
        let zero = Tensor::zeros((), DType::F64, said.device())?;
        let by = |of: &Tensor| Tensor::select(of, &factors, &zero)?.reshape([rows, labels])?.sum(0);
        Ok(Counts { hits: by(&said.logical_and(&targets)?)?, said: by(&said)?, labels: by(&targets)? })
    }
}

/// Targets as i64 in such a shape; floats are 1 above ½. An axis of one class makes no difference, but nothing is broadcast.
fn matching(metric: &'static str, targets: &Tensor, each: &Shape, predictions: &Shape) -> Result<Tensor> {
    let sizes = |dims: &[usize]| dims.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    if targets.dims().first() != each.first() || sizes(targets.dims()) != sizes(each) {
        let message =
            format!("targets {} for predictions {predictions}: one for each of {each} is needed", targets.shape());
        return Err(Error::shape(metric, message));
    }
    let targets = targets.reshape(*each)?;
    if targets.dtype().is_float() {
        let half = Tensor::full((), 0.5, targets.dtype(), targets.device())?;
        return targets.gt(&half)?.to_dtype(DType::I64);
    }
    targets.to_dtype(DType::I64)
}

/// Fails at a label that is not that of a class, where the host can see it without waiting.
pub(super) fn check_labels(metric: &'static str, labels: &Tensor, classes: usize) -> Result<()> {
    if !labels.device().backend().is_host() {
        return Ok(());
    }
    let outside = |&&label: &&i64| !(0..classes as i64).contains(&label);
    let labels = labels.contiguous()?;
    match labels.as_slice::<i64>()?.iter().find(outside) {
        None => Ok(()),
        Some(label) => {
            let message = format!("a label is {label}, expected 0 to {}", classes.max(1) - 1);
            Err(Error::value(metric, message))
        }
    }
}
