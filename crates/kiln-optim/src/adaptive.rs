//! Optimizers that divide each element's step by the size of its gradients.

use crate::check::{not_negative, share};
use crate::{EPSILON, Elementwise, Settings};
use kiln_math::update as rules;
use kiln_tensor::Result;

/// Adam (Kingma and Ba 2015):
///
/// m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; p ← p − lr · m̂ / (√v̂ + ε), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
///
/// Defaults are β₁ = 0.9, β₂ = 0.999 and, as in all of Kiln, Keras's ε = 1e−7; PyTorch's is 1e−8. ε is added after the bias
/// correction, as in the paper and in PyTorch; Keras adds it before, which matters in the first steps only. `weight_decay`
/// is λ·p added to the gradient; for decoupled decay see [`AdamW`].
pub type Adam = Elementwise<rules::Adam>;

impl Adam {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::Adam { beta1: 0.9, beta2: 0.999, epsilon: EPSILON }, learning_rate)
    }

    /// β₁ and β₂: how much of the first and second moments is kept in a step.
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.rule.beta1, self.rule.beta2) = (beta1, beta2);
        self
    }

    /// ε, which keeps the quotient finite; 0 is allowed. A parameter that never had a gradient then stays as it is (in
    /// PyTorch it becomes NaN, 0/0).
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }
}

impl Settings for rules::Adam {
    fn check(&self) -> Result<()> {
        share("first beta", self.beta1)?;
        share("second beta", self.beta2)?;
        not_negative("epsilon", self.epsilon)?;
        Ok(())
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019): p ← p·(1 − lr·λ) before [`Adam`]'s step.
///
/// Defaults are β₁ = 0.9, β₂ = 0.999, PyTorch's λ = 0.01 (Keras's is 0.004) and, as in all of Kiln, Keras's ε = 1e−7; PyTorch's is
/// 1e−8.
pub type AdamW = Elementwise<rules::AdamW>;

impl AdamW {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        let adam = rules::Adam { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };
        Self::with(rules::AdamW(adam), learning_rate).weight_decay(0.01)
    }

    /// β₁ and β₂: how much of the first and second moments is kept in a step.
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.rule.0.beta1, self.rule.0.beta2) = (beta1, beta2);
        self
    }

    /// ε, which keeps the quotient finite; 0 is allowed, as with [`Adam`].
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.0.epsilon = epsilon;
        self
    }
}

impl Settings for rules::AdamW {
    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

/// RMSprop (Tieleman and Hinton 2012), as in PyTorch:
///
/// v ← α·v + (1 − α)·g²; b ← μ·b + g / (√v + ε); p ← p − lr·b.
///
/// Defaults are PyTorch's α = 0.99 (Keras's is 0.9), no momentum and, as in all of Kiln, Keras's ε = 1e−7; PyTorch's is 1e−8.
/// `weight_decay` is λ·p added to the gradient.
pub type RmsProp = Elementwise<rules::RmsProp>;

impl RmsProp {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        let rule = rules::RmsProp { alpha: 0.99, epsilon: EPSILON, momentum: 0.0, centered: false };
        Self::with(rule, learning_rate)
    }

    /// α: how much of the mean square is kept in a step.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.rule.alpha = alpha;
        self
    }

    /// ε, which keeps the quotient finite; 0 is allowed, as with [`Adam`].
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }

    /// μ: how much of the last step is kept.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }

    /// Whether the step is divided by the root of the variance, v less the square of the mean gradient, rather than of v.
    #[must_use]
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }
}

impl Settings for rules::RmsProp {
    fn check(&self) -> Result<()> {
        share("alpha", self.alpha)?;
        not_negative("epsilon", self.epsilon)?;
        not_negative("momentum", self.momentum)?;
        Ok(())
    }
}
