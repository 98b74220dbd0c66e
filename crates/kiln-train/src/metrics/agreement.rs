//! Agreement of predicted and true classes.

use super::classes::{Classes, Reading, class_settings};
use super::{Metric, MetricState, MetricValue, Seen};
use kiln_tensor::{Error, Result, Tensor};
use std::borrow::Cow;

/// Cohen's kappa: (p − q)/(1 − q), where p is the share of right predictions and q the share that is expected by
/// chance. 1 is full agreement, 0 is chance (scikit-learn's `cohen_kappa_score`).
#[derive(Clone, Copy, Debug)]
pub struct CohenKappa {
    reading: Reading,
}

/// Matthews correlation coefficient of predicted and true classes, for two classes or more (Gorodkin 2004;
/// scikit-learn's `matthews_corrcoef`). It is 0 where all predictions, or all targets, are of one class.
#[derive(Clone, Copy, Debug)]
pub struct Matthews {
    reading: Reading,
}

/// Intersection over union, hits / (predicted + true − hits), averaged over the classes. Classes with no prediction
/// and no target are left out. Segmentation maps are (n, classes, H, W) with labels (n, H, W) (Keras's `MeanIoU`,
/// scikit-learn's `jaccard_score`).
#[derive(Clone, Copy, Debug)]
pub struct Iou {
    class: Option<usize>,
    reading: Reading,
}

impl CohenKappa {
    /// The predicted class is the largest output; a single output is class 1 above a threshold of ½.
    pub const fn new() -> Self {
        CohenKappa { reading: Reading::NEW }
    }
}

impl Matthews {
    /// The predicted class is the largest output; a single output is class 1 above a threshold of ½.
    pub const fn new() -> Self {
        Matthews { reading: Reading::NEW }
    }
}

impl Iou {
    /// The mean over the classes. The predicted class is the largest output; a single output is class 1 above a
    /// threshold of ½.
    pub const fn new() -> Self {
        Iou { class: None, reading: Reading::NEW }
    }

    /// The IoU of one class alone. A class that does not exist is an error with the first batch.
    #[must_use]
    pub const fn class(self, class: usize) -> Self {
        Iou { class: Some(class), ..self }
    }
}
class_settings!(CohenKappa, Matthews, Iou);

/// Adds the hits, predictions and targets of each class, (3, classes).
fn update(name: &'static str, reading: &Reading, state: &mut MetricState, seen: &Seen<'_>) -> Result<usize> {
    let counts = Classes::read(name, seen, reading)?.counts()?;
    state.add("counts", &Tensor::stack(&[&counts.hits, &counts.predicted, &counts.labels], 0)?)?;
    Ok(counts.labels.elements())
}

/// The value from the hits, predictions and targets of each class; undefined where there were no targets.
fn value(state: &MetricState, of: impl Fn(&[f64], &[f64], &[f64]) -> MetricValue) -> Result<MetricValue> {
    let counts = state.sums("counts")?;
    let (hits, rest) = counts.split_at(counts.len() / 3);
    let (predicted, labels) = rest.split_at(counts.len() / 3);
    if sum(labels) == 0.0 {
        return Ok(MetricValue::no_targets());
    }
    Ok(of(hits, predicted, labels))
}

fn sum(numbers: &[f64]) -> f64 {
    numbers.iter().sum()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

macro_rules! defaults {
    ($($metric:ident)+) => {$(
        impl Default for $metric {
            fn default() -> Self {
                $metric::new()
            }
        }
    )+};
}
defaults! { CohenKappa Matthews Iou }

impl Metric for CohenKappa {
    fn name(&self) -> Cow<'static, str> {
        "cohen_kappa".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        update("cohen_kappa", &self.reading, state, seen).map(drop)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        value(state, |hits, predicted, labels| {
            let all = sum(labels);
            let (agreed, by_chance) = (sum(hits) / all, product(predicted, labels) / (all * all));
            if by_chance >= 1.0 {
                let why = "all targets and predictions are of one class";
                return MetricValue::Undefined(why.to_owned());
            }
            ((agreed - by_chance) / (1.0 - by_chance)).into()
        })
    }
}

impl Metric for Matthews {
    fn name(&self) -> Cow<'static, str> {
        "matthews".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        update("matthews", &self.reading, state, seen).map(drop)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        value(state, |hits, predicted, labels| {
            let all = sum(labels);
            let covariance = sum(hits) * all - product(predicted, labels);
            let spread = (all * all - product(predicted, predicted)) * (all * all - product(labels, labels));
            if spread > 0.0 { covariance / spread.sqrt() } else { 0.0 }.into()
        })
    }
}

impl Metric for Iou {
    fn name(&self) -> Cow<'static, str> {
        "iou".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let classes = update("iou", &self.reading, state, seen)?;
        match self.class {
            Some(class) if class >= classes => {
                Err(Error::value("iou", format!("the IoU of class {class} is asked for, of {classes} classes")))
            }
            _ => Ok(()),
        }
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        value(state, |hits, predicted, labels| {
            let wanted = |class: &usize| self.class.is_none_or(|only| only == *class);
            let union = |class: usize| predicted[class] + labels[class] - hits[class];
            let present: Vec<usize> = (0..hits.len()).filter(|&class| union(class) > 0.0).filter(wanted).collect();
            if present.is_empty() {
                return MetricValue::Undefined("no target and no prediction is of this class".to_owned());
            }
            let ratios = present.iter().map(|&class| hits[class] / union(class));
            (ratios.sum::<f64>() / present.len() as f64).into()
        })
    }
}
