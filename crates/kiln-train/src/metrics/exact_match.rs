//! Whether a whole sequence is right.

use super::accuracy::right;
use super::mean::filled;
use super::{Metric, MetricState, MetricValue, Seen};
use kiln_nn::ClassAxis;
use kiln_tensor::{Result, Tensor};
use std::borrow::Cow;

/// The share of samples of which every target is the class with the largest output: sequences without a mistake. Predictions are
/// (n, T, classes), targets labels (n, T). Steps that the mask leaves out may be anything, and a sample without a step that counts is
/// left out.
///
/// For a decoder that is trained by teacher forcing, whose input at each step is the right token before it, this is the exact match of
/// greedy decoding: as long as each likeliest token is the right one, greedy decoding feeds the decoder the same inputs.
///
/// ```
/// use kiln_tensor::{Device, Tensor};
/// use kiln_train::{ExactMatch, Metric};
/// let cpu = Device::cpu();
/// let predictions = Tensor::from_slice(&[0.1f32, 0.9, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4], [2, 2, 2], &cpu)?;
/// let targets = Tensor::from_slice(&[1i64, 0, 1, 0], [2, 2], &cpu)?; // the second is wrong at its first step
/// assert_eq!(ExactMatch.of(&predictions, &targets)?.number(), 0.5);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExactMatch;

/// Every axis but that of the samples.
fn steps(of: &Tensor) -> Vec<usize> {
    (1..of.rank()).collect()
}

impl Metric for ExactMatch {
    fn name(&self) -> Cow<'static, str> {
        "exact_match".into()
    }
    fn larger_is_better(&self) -> Option<bool> {
        Some(true)
    }
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
        let each = right(seen.predictions, &filled(seen.targets, seen.mask)?, ClassAxis::BY_RANK)?;
        let Some(mask) = seen.used(each.shape())? else {
            let whole = each.all(&steps(&each)[..])?;
            return state.add_total(Seen { mask: None, ..*seen }.total(&whole)?);
        };
        let whole = each.logical_or(&mask.logical_not()?)?.all(&steps(&each)[..])?;
        let counts = mask.any(&steps(&mask)[..])?;
        state.add_total(Seen { mask: Some(&counts), ..*seen }.total(&whole)?)
    }
    fn value(&self, state: &MetricState) -> Result<MetricValue> {
        Ok(state.mean_of_total()?.map_or_else(MetricValue::no_targets, MetricValue::from))
    }
}
