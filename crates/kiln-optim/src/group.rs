//! Settings of some of the parameters.

use crate::check::not_negative;
use kiln_nn::PathPattern;
use kiln_tensor::{Device, Result, Tensor};

/// Settings of the parameters that a pattern of paths matches; what is not set stays as the optimizer has it.
///
/// ```
/// use kiln_optim::{AdamW, Group, Optimizer};
/// let optimizer = AdamW::new(1e-3)
///     .no_decay_on_biases_and_norms()
///     .group("features.*", Group::new().learning_rate_scale(0.1).weight_decay(0.05))
///     .group("features.0.*", Group::new().frozen(true));
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Group {
    pub(crate) learning_rate_scale: Option<f64>,
    pub(crate) weight_decay: Option<f64>,
    pub(crate) frozen: Option<bool>,
}

impl Group {
    /// Nothing set.
    pub fn new() -> Self {
        Group::default()
    }

    /// What the learning rate is multiplied by.
    #[must_use]
    pub fn learning_rate_scale(mut self, scale: f64) -> Self {
        self.learning_rate_scale = Some(scale);
        self
    }

    /// λ, in place of the optimizer's.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = Some(weight_decay);
        self
    }

    /// Whether a step leaves the parameters and their state as they are. (A gradient is computed all the same; freezing the model's
    /// parameters spares that.)
    #[must_use]
    pub fn frozen(mut self, frozen: bool) -> Self {
        self.frozen = Some(frozen);
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        not_negative("learning rate scale of a group", self.learning_rate_scale.unwrap_or(1.0))?;
        not_negative("weight decay of a group", self.weight_decay.unwrap_or(0.0))?;
        Ok(())
    }

    /// These settings, and where they are silent those of `before`.
    pub(crate) fn over(self, before: Group) -> Group {
        Group {
            learning_rate_scale: self.learning_rate_scale.or(before.learning_rate_scale),
            weight_decay: self.weight_decay.or(before.weight_decay),
            frozen: self.frozen.or(before.frozen),
        }
    }

    /// As three numbers, those that are not set NaN.
    pub(crate) fn to_tensor(self) -> Result<Tensor> {
        let frozen = self.frozen.map(f64::from);
        let numbers = [self.learning_rate_scale, self.weight_decay, frozen].map(|number| number.unwrap_or(f64::NAN));
        Tensor::from_slice(&numbers, [3], &Device::cpu())
    }

    /// What [`Group::to_tensor`] gave; `None` where it is something else.
    pub(crate) fn of_tensor(tensor: &Tensor) -> Option<Group> {
        let numbers: [f64; 3] = tensor.to_vec::<f64>().ok()?.try_into().ok()?;
        let [learning_rate_scale, weight_decay, frozen] = numbers.map(|n| (!n.is_nan()).then_some(n));
        Some(Group { learning_rate_scale, weight_decay, frozen: frozen.map(|frozen| frozen != 0.0) })
    }
}

/// Which parameters a group is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Select {
    /// Those with such a path.
    Paths(PathPattern),
    /// Those with less than two axes.
    Vectors,
}

impl Select {
    pub(crate) fn matches(&self, path: &str, value: &Tensor) -> bool {
        match self {
            Select::Paths(pattern) => pattern.matches(path),
            Select::Vectors => value.rank() < 2,
        }
    }

    /// What a state dict calls it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Select::Paths(pattern) => pattern.as_str(),
            Select::Vectors => "(biases and norms)",
        }
    }
}
