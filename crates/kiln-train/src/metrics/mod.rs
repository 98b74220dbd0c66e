//! Metrics: what is reported beside the loss.

/// The metrics, by the file that they are in. [`all`](self::all), and with it the exports and the prelude of `kiln`,
/// follows.
macro_rules! metrics {
    ($($module:ident: $($name:ident)+;)+) => {
        $(mod $module;)+

        /// All metrics.
        pub mod all {
            $(pub use super::$module::{$($name),+};)+
        }

        /// Calls `$callback! { Name … }` with all metrics.
        #[doc(hidden)]
        #[macro_export]
        macro_rules! for_each_metric {
            ($callback:path) => {
                $callback! { $($($name)+)+ }
            };
        }
    };
}

metrics! {
    accuracy: Accuracy AccuracyAlong;
    binary: BinaryAccuracy MultilabelAccuracy;
    confusion: ConfusionMatrix;
    exact_match: ExactMatch;
    agreement: CohenKappa Iou Matthews;
    perplexity: Perplexity;
    ranking: Auc AveragePrecision;
    regression: Mae Mape MeanOutput Mse R2 Rmse;
    retrieved: F1 Precision Recall;
    spelled: CtcErrorRate CtcExactMatch;
    top_k: TopKAccuracy;
    wrappers: Named Weighted;
}

mod area;
mod classes;
mod count;
mod mean;
mod seen;
mod state;
mod value;

pub use count::{Count, Measured};
pub use mean::MeanMetric;
pub use retrieved::ClassAverage;
pub use seen::Seen;
pub use state::MetricState;
pub use value::{MetricValue, Table};
pub(crate) use wrappers::OfOutput;

use kiln_autograd::Var;
use kiln_nn::losses::aligned;
use kiln_tensor::{Result, Tensor};
use std::borrow::Cow;

/// A number or a table that is reported for an epoch or an evaluation. It is computed over all targets together, not
/// as a mean of batches.
///
/// A metric that is the mean of a number per target is a [`MeanMetric`], which is shorter. Other metrics add each
/// batch to a state and compute their value from it at the end:
///
/// ```
/// use kiln_tensor::{Device, Result, Tensor};
/// use kiln_train::{Metric, MetricState, MetricValue, Seen};
/// use std::borrow::Cow;
///
/// /// √ of the mean of (p − t)²
/// struct RootMeanSquare;
/// impl Metric for RootMeanSquare {
///     fn name(&self) -> Cow<'static, str> {
///         "root_mean_square".into()
///     }
///     fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
///         state.add_total(seen.total(&seen.predictions.sub(seen.targets)?.square()?)?)
///     }
///     fn value(&self, state: &MetricState) -> Result<MetricValue> {
///         Ok(state.mean_of_total()?.map_or_else(MetricValue::no_targets, |mean| mean.sqrt().into()))
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let cpu = Device::cpu();
/// let (p, t) = (Tensor::from_slice(&[1.0f32, 5.0], [2], &cpu)?, Tensor::from_slice(&[0.0f32, 0.0], [2], &cpu)?);
/// assert_eq!(RootMeanSquare.of(&p, &t)?.number(), 13f64.sqrt());
/// # Ok(())
/// # }
/// ```
///
/// The state is saved with the training's state, so that a run that is resumed in the middle of an epoch reports the
/// same.
pub trait Metric: Send + Sync {
    /// The name in histories and logs.
    fn name(&self) -> Cow<'static, str>;

    /// Adds a batch to the state.
    ///
    /// # Errors
    /// Predictions and targets that do not fit each other; settings that make no sense.
    fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()>;

    /// The value of all batches so far.
    ///
    /// # Errors
    /// What a device reports late.
    fn value(&self, state: &MetricState) -> Result<MetricValue>;

    /// The name of the output it measures; without one it is the model's first output.
    fn output(&self) -> Option<&str> {
        None
    }

    /// Whether a larger value is better, where that is known; [`EarlyStopping`](crate::EarlyStopping) goes by it.
    fn larger_is_better(&self) -> Option<bool> {
        None
    }

    /// Whether it uses the sample weights; see [`Weighted`](all::Weighted).
    fn sees_weights(&self) -> bool {
        false
    }

    /// Whether it may see a long sample in parts, some steps (axis 1) at a time, as sums over the steps may. An output over a large
    /// vocabulary is computed part by part for its metrics; unless all of them take steps, a part has whole samples.
    fn takes_steps(&self) -> bool {
        false
    }

    /// The name in histories and logs: its name, after the output's name where it has one, `digit_accuracy`.
    fn label(&self) -> Cow<'static, str> {
        match self.output() {
            None => self.name(),
            Some(output) => Cow::Owned(format!("{output}_{}", self.name())),
        }
    }

    /// The value for these predictions and targets.
    ///
    /// # Errors
    /// As [`Metric::update`] and [`Metric::value`].
    fn of(&self, predictions: &Tensor, targets: &Tensor) -> Result<MetricValue> {
        let mut state = MetricState::default();
        let targets = aligned(targets, predictions.shape())?;
        self.update(&mut state, &Seen::new(&Var::from(predictions), &targets))?;
        self.value(&state)
    }
}
