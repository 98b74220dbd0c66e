//! Adam's kin.

use crate::check::not_negative;
use crate::{EPSILON, Elementwise, Settings};
use kiln_math::update as rules;
use kiln_tensor::Result;

/// β₁, β₂ and ε of an optimizer whose rule has Adam's settings.
macro_rules! adam_settings {
    ($name:ident, $($field:tt)+) => {
        impl $name {
            /// β₁ and β₂: how much of the two averages is kept in a step.
            #[must_use]
            pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
                (self.rule.$($field)+.beta1, self.rule.$($field)+.beta2) = (beta1, beta2);
                self
            }

            /// ε, which keeps the quotient finite; 0 is allowed, as with [`Adam`](crate::Adam).
            #[must_use]
            pub fn epsilon(mut self, epsilon: f64) -> Self {
                self.rule.$($field)+.epsilon = epsilon;
                self
            }
        }
    };
}

/// β₁ = 0.9, β₂ = 0.999, and Kiln's ε.
const ADAM: rules::Adam = rules::Adam { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };

/// AMSGrad (Reddi et al. 2018): as [`Adam`](crate::Adam), with the largest v so far in the place of v, so that no step is larger for
/// gradients having become small. PyTorch's `Adam(amsgrad=True)`.
///
/// Defaults are those of [`Adam`](crate::Adam). `weight_decay` is λ·p added to the gradient.
pub type AmsGrad = Elementwise<rules::AmsGrad>;

impl AmsGrad {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::AmsGrad(ADAM), learning_rate)
    }
}
adam_settings! { AmsGrad, 0 }

impl Settings for rules::AmsGrad {
    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

/// Adamax (Kingma and Ba 2015), as in PyTorch:
///
/// m ← β₁·m + (1 − β₁)·g; u ← max(β₂·u, |g| + ε); p ← p − lr/(1 − β₁ᵗ) · m/u.
///
/// Defaults are those of [`Adam`](crate::Adam). `weight_decay` is λ·p added to the gradient.
pub type Adamax = Elementwise<rules::Adamax>;

impl Adamax {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::Adamax(ADAM), learning_rate)
    }
}
adam_settings! { Adamax, 0 }

impl Settings for rules::Adamax {
    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

/// NAdam (Dozat 2016), as in PyTorch: [`Adam`](crate::Adam) that looks ahead as Nesterov's momentum does. With μₜ = β₁·(1 − 0.96^(t·ψ)/2) and
/// Mₜ = μ₁ ⋯ μₜ:
///
/// p ← p − lr · ((1 − μₜ)/(1 − Mₜ) · g + μₜ₊₁/(1 − Mₜ₊₁) · m) / (√v̂ + ε).
///
/// Defaults are those of [`Adam`](crate::Adam), and PyTorch's ψ = 0.004, which is Keras's too. `weight_decay` is λ·p added to the gradient.
pub type NAdam = Elementwise<rules::NAdam>;

impl NAdam {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::NAdam { adam: ADAM, momentum_decay: 0.004 }, learning_rate)
    }

    /// ψ: how fast the momentum comes to β₁.
    #[must_use]
    pub fn momentum_decay(mut self, decay: f64) -> Self {
        self.rule.momentum_decay = decay;
        self
    }
}
adam_settings! { NAdam, adam }

impl Settings for rules::NAdam {
    fn check(&self) -> Result<()> {
        self.adam.check()?;
        not_negative("momentum decay", self.momentum_decay)?;
        Ok(())
    }
}

/// RAdam (Liu et al. 2020), as in PyTorch: [`Adam`](crate::Adam) whose first steps are not divided by √v̂, as v is of too few gradients
/// then, and whose later ones are rectified, so that no warm-up is needed.
///
/// Defaults are those of [`Adam`](crate::Adam). `weight_decay` is λ·p added to the gradient.
pub type RAdam = Elementwise<rules::RAdam>;

impl RAdam {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::RAdam(ADAM), learning_rate)
    }
}
adam_settings! { RAdam, 0 }

impl Settings for rules::RAdam {
    fn check(&self) -> Result<()> {
        self.0.check()
    }
}
