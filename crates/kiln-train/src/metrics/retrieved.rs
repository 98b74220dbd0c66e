//! Precision, recall and F1.

use super::classes::{Classes, Counts, Reading, class_settings};
use super::{Metric, MetricState, MetricValue, Seen, Table};
use kiln_tensor::{Error, Result, Tensor};
use std::borrow::Cow;

/// How the numbers of several classes are averaged, as in scikit-learn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClassAverage {
    /// The number of class 1, for two classes only.
    #[default]
    Binary,
    /// From the counts of all classes together.
    Micro,
    /// The mean over the classes. Classes with no prediction and no target are left out.
    Macro,
    /// The mean over the classes, weighted by their number of targets.
    Weighted,
    /// No average: a table with one row, a column for each class.
    PerClass,
}

macro_rules! of_counts {
    ($($(#[$doc:meta])* $metric:ident $name:literal |$hits:ident, $predicted:ident, $labels:ident| $ratio:expr;)+) => {$(
        $(#[$doc])*
        ///
        /// A single output is class 1 above a threshold (½); of several outputs the largest is the class, or with
        /// `multilabel` each is compared with the threshold. By default it is the number of class 1 of two; for more
        /// classes set `average`. It is 0 where it would divide by 0, as in Keras and scikit-learn's
        /// `zero_division=0`. It is computed over all targets of an epoch, not as a mean of batches.
        #[derive(Clone, Copy, Debug)]
        pub struct $metric {
            average: ClassAverage,
            reading: Reading,
        }

        impl Default for $metric {
            fn default() -> Self {
                $metric::new()
            }
        }

        impl $metric {
            /// For class 1 of two classes.
            pub const fn new() -> Self {
                $metric { average: ClassAverage::Binary, reading: Reading::NEW }
            }

            /// How the numbers of several classes are averaged.
            #[must_use]
            pub const fn average(self, average: ClassAverage) -> Self {
                $metric { average, ..self }
            }

            /// Predictions and targets are (…, labels); each label is compared with the threshold by itself.
            #[must_use]
            pub const fn multilabel(self) -> Self {
                $metric { reading: Reading { multilabel: true, ..self.reading }, ..self }
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
                update($name, self.average, &self.reading, state, seen)
            }
            fn value(&self, state: &MetricState) -> Result<MetricValue> {
                let ratio = |$hits: f64, $predicted: f64, $labels: f64| $ratio;
                averaged(self.average, &state.sums("counts")?, ratio)
            }
        }
    )+};
}
of_counts! {
    /// The share of a class's predictions that are right: hits / predicted.
    Precision "precision" |hits, predicted, _labels| over(hits, predicted);
    /// The share of a class's targets that are found: hits / true.
    Recall "recall" |hits, _predicted, labels| over(hits, labels);
    /// The harmonic mean of precision and recall: 2·hits / (predicted + true).
    F1 "f1" |hits, predicted, labels| over(2.0 * hits, predicted + labels);
}
class_settings!(Precision, Recall, F1);

/// 0 where there is nothing to divide by.
fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn update(
    name: &'static str,
    average: ClassAverage,
    reading: &Reading,
    state: &mut MetricState,
    seen: &Seen<'_>,
) -> Result<()> {
    let counts = if reading.multilabel {
        Counts::of_labels(name, seen, reading)?
    } else {
        Classes::read(name, seen, reading)?.counts()?
    };
    let classes = counts.labels.elements();
    // A single label has no other class.
    let most = if reading.multilabel { 1 } else { 2 };
    if average == ClassAverage::Binary && classes > most {
        let message = format!(
            "there are {classes} classes: choose how they are averaged, `{{}}.average(ClassAverage::Macro)`, Micro, Weighted or PerClass"
        )
        .replace("{}", type_of(name));
        return Err(Error::value(name, message));
    }
    state.add("counts", &Tensor::stack(&[&counts.hits, &counts.predicted, &counts.labels], 0)?)
}

fn type_of(name: &str) -> &'static str {
    match name {
        "precision" => "Precision::new()",
        "recall" => "Recall::new()",
        _ => "F1::new()",
    }
}

/// From the hits, predictions and targets of each class, (3, classes).
fn averaged(average: ClassAverage, counts: &[f64], ratio: impl Fn(f64, f64, f64) -> f64) -> Result<MetricValue> {
    let classes = counts.len() / 3;
    if classes == 0 {
        return Ok(MetricValue::no_targets());
    }
    let (hits, rest) = counts.split_at(classes);
    let (predicted, labels) = rest.split_at(classes);
    let of = |class: usize| ratio(hits[class], predicted[class], labels[class]);
    let sum = |numbers: &[f64]| numbers.iter().sum::<f64>();
    let seen = || (0..classes).filter(|&class| predicted[class] + labels[class] > 0.0);
    Ok(match average {
        ClassAverage::Binary => of(classes - 1).into(),
        ClassAverage::Micro => ratio(sum(hits), sum(predicted), sum(labels)).into(),
        ClassAverage::Macro => over(seen().map(of).sum(), seen().count() as f64).into(),
        ClassAverage::Weighted => over((0..classes).map(|class| of(class) * labels[class]).sum(), sum(labels)).into(),
        ClassAverage::PerClass => MetricValue::Table(Table::new(classes, (0..classes).map(of).collect())),
    })
}
