//! How far what was said of classes agrees with what is.

use super::classes::{Classes, Reading, class_settings};
use super::{Metric, MetricState, MetricValue, Seen};
use kiln_tensor::{Error, Result, Tensor};
use std::borrow::Cow;

/// Cohen's kappa: (p − q)/(1 − q), p being the share of targets that were said rightly and q the share that would be by chance. 1 is full
/// agreement, 0 that of chance (scikit-learn's `cohen_kappa_score`).
#[derive(Clone, Copy, Debug)]
pub struct CohenKappa {
    reading: Reading,
}

/// Matthews's correlation of what was said and what is: of two classes the correlation of two columns of 0 and 1, of more its generalization (Gorodkin
/// 2004; scikit-learn's `matthews_corrcoef`). 0 where all that was said, or all that is, is of one class.
#[derive(Clone, Copy, Debug)]
pub struct Matthews {
    reading: Reading,
}

/// Intersection over union of each class, the mean of which is taken: hits / (said + targets − hits). Classes that were neither said nor targets are left
/// out. Of maps (n, classes, H, W) with labels (n, H, W) it is that of segmentation (Keras's `MeanIoU`, scikit-learn's `jaccard_score`).
#[derive(Clone, Copy, Debug)]
pub struct Iou {
    class: Option<usize>,
    reading: Reading,
}

impl CohenKappa {
    /// Of the largest output, of a single one with a threshold of ½.
    pub const fn new() -> Self {
        CohenKappa { reading: Reading::NEW }
    }
}

impl Matthews {
    /// Of the largest output, of a single one with a threshold of ½.
    pub const fn new() -> Self {
        Matthews { reading: Reading::NEW }
    }
}

impl Iou {
    /// The mean over the classes: of the largest output, of a single one with a threshold of ½.
    pub const fn new() -> Self {
        Iou { class: None, reading: Reading::NEW }
    }

    /// That of one class alone; one that there is not is reported with the first batch.
    #[must_use]
    pub const fn class(self, class: usize) -> Self {
        Iou { class: Some(class), ..self }
    }
}
class_settings!(CohenKappa, Matthews, Iou);

/// Adds hits, said and targets of each class, (3, classes).
fn update(name: &'static str, reading: &Reading, state: &mut MetricState, seen: &Seen<'_>) -> Result<usize> {
    let counts = Classes::read(name, seen, reading)?.counts()?;
    state.add("counts", &Tensor::stack(&[&counts.hits, &counts.said, &counts.labels], 0)?)?;
    Ok(counts.labels.elements())
}

/// Of hits, said and targets of each class, each of as many numbers; no number where there were none.
fn value(state: &MetricState, of: impl Fn(&[f64], &[f64], &[f64]) -> MetricValue) -> Result<MetricValue> {
    let counts = state.sums("counts")?;
    let (hits, rest) = counts.split_at(counts.len() / 3);
    let (said, labels) = rest.split_at(counts.len() / 3);
    if sum(labels) == 0.0 {
        return Ok(MetricValue::Undefined("there were no targets".to_owned()));
    }
    Ok(of(hits, said, labels))
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
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        update("cohen_kappa", &self.reading, state, seen).map(drop)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        value(state, |hits, said, labels| {
            let all = sum(labels);
            let (agreed, by_chance) = (sum(hits) / all, product(said, labels) / (all * all));
            if by_chance >= 1.0 {
                let why = "all targets are of one class and nothing else was said: chance agrees fully";
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
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        update("matthews", &self.reading, state, seen).map(drop)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        value(state, |hits, said, labels| {
            let all = sum(labels);
            let covariance = sum(hits) * all - product(said, labels);
            let spread = (all * all - product(said, said)) * (all * all - product(labels, labels));
            if spread > 0.0 { covariance / spread.sqrt() } else { 0.0 }.into()
        })
    }
}

impl Metric for Iou {
    fn name(&self) -> Cow<'static, str> {
        "iou".into()
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
        value(state, |hits, said, labels| {
            let wanted = |class: &usize| self.class.is_none_or(|only| only == *class);
            let union = |class: usize| said[class] + labels[class] - hits[class];
            let present: Vec<usize> = (0..hits.len()).filter(|&class| union(class) > 0.0).filter(wanted).collect();
            if present.is_empty() {
                return MetricValue::Undefined("no target is of this class, and none was said to be".to_owned());
            }
            let ratios = present.iter().map(|&class| hits[class] / union(class));
            (ratios.sum::<f64>() / present.len() as f64).into()
        })
    }
}
