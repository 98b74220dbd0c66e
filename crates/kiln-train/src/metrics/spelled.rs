//! What models trained with CTC spell, against what they were to spell.

use super::{MeanMetric, Metric, MetricState, MetricValue, Seen};
use kiln_nn::Ctc;
use kiln_tensor::{DType, Error, Result, Tensor};
use std::borrow::Cow;

/// The share of samples that are spelled without a mistake, by [greedy decoding](Ctc::decode). Predictions are (n, T, classes), targets
/// labels (n, S) as [`Ctc`] takes them. All steps count.
#[derive(Clone, Copy, Debug, Default)]
pub struct CtcExactMatch {
    ctc: Ctc,
}

/// The edit distance to the labels, over the number of labels: how many insertions, deletions and replacements make what is spelled, by
/// [greedy decoding](Ctc::decode), what it should be. Of characters it is the character error rate. Predictions and targets are those
/// of [`CtcExactMatch`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CtcErrorRate {
    ctc: Ctc,
}

macro_rules! blanks {
    ($($metric:ident),+) => {$(
        impl $metric {
            /// With class 0 as the blank.
            pub const fn new() -> Self {
                $metric { ctc: Ctc::new() }
            }

            /// The class of the blank.
            #[must_use]
            pub const fn blank(self, class: usize) -> Self {
                $metric { ctc: self.ctc.blank(class) }
            }
        }
    )+};
}
blanks!(CtcExactMatch, CtcErrorRate);

/// What each sample spells, and what it should.
type Pair = (Vec<i64>, Vec<i64>);

/// The pairs of a batch.
fn pairs(name: &'static str, ctc: Ctc, predictions: &Tensor, targets: &Tensor) -> Result<Vec<Pair>> {
    let (said, labels) = (ctc.decode(predictions, None)?, ctc.without_padding(targets)?);
    if said.len() != labels.len() {
        let message = format!("predictions of {} samples, targets of {}", said.len(), labels.len());
        return Err(Error::shape(name, message));
    }
    Ok(said.into_iter().zip(labels).collect())
}

impl MeanMetric for CtcExactMatch {
    fn name(&self) -> &'static str {
        "exact_match"
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn each(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let pairs = pairs(MeanMetric::name(self), self.ctc, predictions, targets)?;
        let each: Vec<f32> = pairs.iter().map(|(said, labels)| f32::from(said == labels)).collect();
        Tensor::from_slice(&each, [each.len()], targets.device())
    }
}

impl Metric for CtcErrorRate {
    fn name(&self) -> Cow<'static, str> {
        "label_error_rate".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(false)
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let (mut mistakes, mut count) = (0, 0);
        for (said, labels) in pairs("label_error_rate", self.ctc, seen.predictions, seen.targets)? {
            mistakes += edit_distance(&said, &labels);
            count += labels.len();
        }
        let number = |count: usize| Tensor::full((), count as f64, DType::F64, seen.targets.device());
        state.add_total([number(mistakes)?, number(count)?])
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        Ok(state.mean_of_total()?.map_or_else(MetricValue::no_targets, MetricValue::from))
    }
}

/// The least number of insertions, deletions and replacements between two sequences (Levenshtein 1966).
fn edit_distance(a: &[i64], b: &[i64]) -> usize {
    // Of what was read of a, the distances to each beginning of b.
    let mut distances: Vec<usize> = (0..=b.len()).collect();
    for (read, x) in a.iter().enumerate() {
        let mut before = distances[0];
        distances[0] = read + 1;
        for (at, y) in b.iter().enumerate() {
            let replaced = before + usize::from(x != y);
            before = distances[at + 1];
            distances[at + 1] = replaced.min(before + 1).min(distances[at] + 1);
        }
    }
    distances[b.len()]
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn distances_are_those_of_the_fewest_edits() {
        let of = |a: &str, b: &str| {
            let numbers = |text: &str| text.bytes().map(i64::from).collect::<Vec<_>>();
            edit_distance(&numbers(a), &numbers(b))
        };
        assert_eq!((of("", ""), of("abc", ""), of("", "ab"), of("abc", "abc")), (0, 3, 2, 0));
        assert_eq!((of("kitten", "sitting"), of("flaw", "lawn"), of("ab", "ba")), (3, 2, 2));
    }
}
