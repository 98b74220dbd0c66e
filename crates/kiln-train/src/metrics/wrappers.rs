//! Metrics that wrap another one.

use super::{Metric, MetricState, MetricValue, Seen};
use kiln_tensor::Result;
use std::borrow::Cow;

/// A metric that uses the sample weights ([`Batch::weights`](kiln_datasets::Batch::weights)), as Keras's
/// `weighted_metrics`: each target counts by its weight, and a mean is divided by the sum of the weights. Its name is
/// `weighted_accuracy`.
///
/// ```
/// # use kiln_nn::{Dense, SparseCategoricalCrossentropy, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::Device;
/// # use kiln_train::{Accuracy, Weighted, compile};
/// # let model = Sequential::new().push(Dense::new(2)).build([2], &Device::cpu(), 1)?;
/// let trainer = compile(model, Sgd::new(0.1), SparseCategoricalCrossentropy::from_logits())
///     .metric(Accuracy)
///     .metric(Weighted(Accuracy));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Weighted<M>(pub M);

/// A metric with another name, for two metrics of one kind:
///
/// ```
/// # use kiln_nn::{Activation, BinaryCrossentropy, Dense, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::Device;
/// # use kiln_train::{Named, Precision, compile};
/// # let model = Sequential::new().push(Dense::new(1).activation(Activation::Sigmoid)).build([2], &Device::cpu(), 1)?;
/// let trainer = compile(model, Sgd::new(0.1), BinaryCrossentropy::new())
///     .metric(Precision::new())
///     .metric(Named("precision_at_90", Precision::new().threshold(0.9)));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Named<M>(pub &'static str, pub M);

/// A metric of one output of several.
pub(crate) struct OfOutput<M> {
    pub(crate) output: String,
    pub(crate) metric: M,
}

macro_rules! delegate {
    ($inner:tt: $($method:ident)+) => {
        fn update(&self, state: &mut MetricState, seen: &Seen<'_>) -> Result<()> {
            self.$inner.update(state, seen)
        }
        fn value(&self, state: &MetricState) -> Result<MetricValue> {
            self.$inner.value(state)
        }
        fn larger_is_better(&self) -> Option<bool> {
            self.$inner.larger_is_better()
        }
        fn takes_steps(&self) -> bool {
            self.$inner.takes_steps()
        }
        $(delegate! { @ $method $inner })+
    };
    (@ name $inner:tt) => {
        fn name(&self) -> Cow<'static, str> {
            self.$inner.name()
        }
    };
    (@ output $inner:tt) => {
        fn output(&self) -> Option<&str> {
            self.$inner.output()
        }
    };
    (@ sees_weights $inner:tt) => {
        fn sees_weights(&self) -> bool {
            self.$inner.sees_weights()
        }
    };
}

impl<M: Metric> Metric for Weighted<M> {
    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("weighted_{}", self.0.name()))
    }
    fn sees_weights(&self) -> bool {
        true
    }
    delegate! { 0: output }
}

impl<M: Metric> Metric for Named<M> {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.0)
    }
    delegate! { 1: output sees_weights }
}

impl<M: Metric> Metric for OfOutput<M> {
    fn output(&self) -> Option<&str> {
        Some(&self.output)
    }
    delegate! { metric: name sees_weights }
}
