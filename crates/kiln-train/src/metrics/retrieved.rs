//! Precision, recall and F1: how much of what was said is right, and how much of what is was said.

use super::classes::{Classes, Counts, Reading, class_settings};
use super::{Metric, MetricState, MetricValue, Seen, Table};
use kiln_tensor::{Error, Result, Tensor};
use std::borrow::Cow;

/// How the numbers of several classes become one, as in scikit-learn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Average {
    /// That of class 1, of two; refused of more.
    #[default]
    Binary,
    /// That of all targets taken together.
    Micro,
    /// The mean of the classes', each counting alike. Classes that were neither said nor targets are left out.
    Macro,
    /// The mean of the classes', each counting by its number of targets.
    Weighted,
    /// Those of all classes, a table of one row.
    PerClass,
}

macro_rules! of_counts {
    ($($(#[$doc:meta])* $metric:ident $name:literal |$hits:ident, $said:ident, $labels:ident| $ratio:expr;)+) => {$(
        $(#[$doc])*
        ///
        /// Of a single output a threshold decides (½), of several the largest output, or with `multilabel` a threshold for each. By default it is
        /// that of class 1 of two; of more classes `average` says which. Where nothing was said or is, it is 0, as in Keras and
        /// scikit-learn. It is that of all targets of an epoch, not a mean of batches.
        #[derive(Clone, Copy, Debug)]
        pub struct $metric {
            average: Average,
            reading: Reading,
        }

        impl Default for $metric {
            fn default() -> Self {
                $metric::new()
            }
        }

        impl $metric {
            /// Of two classes, that of class 1.
            pub const fn new() -> Self {
                $metric { average: Average::Binary, reading: Reading::NEW }
            }

            /// How the numbers of several classes become one.
            #[must_use]
            pub const fn average(self, average: Average) -> Self {
                $metric { average, ..self }
            }

            /// Predictions and targets are (…, labels), each label a class of its own that a threshold decides on.
            #[must_use]
            pub const fn multilabel(self) -> Self {
                $metric { reading: Reading { multilabel: true, ..self.reading }, ..self }
            }
        }

        impl Metric for $metric {
            fn name(&self) -> Cow<'static, str> {
                $name.into()
            }
            fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
                update($name, self.average, &self.reading, state, seen)
            }
            fn value(&self, state: &MetricState) -> Result<MetricValue> {
                let ratio = |$hits: f64, $said: f64, $labels: f64| $ratio;
                averaged(self.average, &state.sums("counts")?, ratio)
            }
        }
    )+};
}
of_counts! {
    /// The share of what was said to be of a class that is of it: hits / said.
    Precision "precision" |hits, said, _labels| over(hits, said);
    /// The share of what is of a class that was said to be of it: hits / targets.
    Recall "recall" |hits, _said, labels| over(hits, labels);
    /// The harmonic mean of precision and recall: 2·hits / (said + targets).
    F1 "f1" |hits, said, labels| over(2.0 * hits, said + labels);
}
class_settings!(Precision, Recall, F1);

/// 0 where there is nothing to divide by.
fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn update(
    name: &'static str,
    average: Average,
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
    if average == Average::Binary && classes > most {
        let message = format!(
            "there are {classes} classes: say how they become one number, `{{}}.average(Average::Macro)`, Micro, Weighted or PerClass"
        )
        .replace("{}", type_of(name));
        return Err(Error::value(name, message));
    }
    state.add("counts", &Tensor::stack(&[&counts.hits, &counts.said, &counts.labels], 0)?)
}

fn type_of(name: &str) -> &'static str {
    match name {
        "precision" => "Precision::new()",
        "recall" => "Recall::new()",
        _ => "F1::new()",
    }
}

/// Of (3, classes): hits, said, targets.
fn averaged(average: Average, counts: &[f64], ratio: impl Fn(f64, f64, f64) -> f64) -> Result<MetricValue> {
    let classes = counts.len() / 3;
    if classes == 0 {
        return Ok(MetricValue::Undefined("there were no targets".to_owned()));
    }
    let (hits, rest) = counts.split_at(classes);
    let (said, labels) = rest.split_at(classes);
    let of = |class: usize| ratio(hits[class], said[class], labels[class]);
    let sum = |numbers: &[f64]| numbers.iter().sum::<f64>();
    let seen = || (0..classes).filter(|&class| said[class] + labels[class] > 0.0);
    Ok(match average {
        Average::Binary => of(classes - 1).into(),
        Average::Micro => ratio(sum(hits), sum(said), sum(labels)).into(),
        Average::Macro => over(seen().map(of).sum(), seen().count() as f64).into(),
        Average::Weighted => over((0..classes).map(|class| of(class) * labels[class]).sum(), sum(labels)).into(),
        Average::PerClass => MetricValue::Table(Table::new(classes, (0..classes).map(of).collect())),
    })
}
