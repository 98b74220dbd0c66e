//! Optimizers that follow the gradient itself.

use crate::check::{not_negative, share};
use crate::{Elementwise, Settings};
use kiln_math::update as rules;
use kiln_tensor::{Error, Result};

/// Stochastic gradient descent with momentum, as in PyTorch:
///
/// g ← g + λ·p; v ← μ·v + (1 − τ)·g (v ← g in the first step); p ← p − lr·v, or p − lr·(g + μ·v) in Nesterov's form.
///
/// (Keras scales its velocity by the learning rate, which is the same while the rate stays.)
pub type Sgd = Elementwise<rules::Sgd>;

impl Sgd {
    /// Plain descent at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false }, learning_rate)
    }

    /// μ: how much of the last step is kept.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }

    /// τ: the gradient enters the velocity with 1 − τ. Without a momentum there is no velocity, and this does nothing.
    #[must_use]
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.rule.dampening = dampening;
        self
    }

    /// Nesterov's form, which looks one step ahead; it needs a momentum and no dampening.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
        self
    }
}

impl Settings for rules::Sgd {
    fn check(&self) -> Result<()> {
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::value("optimizer.step", "Nesterov's form needs a momentum above 0 and no dampening"));
        }
        not_negative("momentum", self.momentum)?;
        not_negative("dampening", self.dampening)?;
        Ok(())
    }
}

/// Lion (Chen et al. 2023), with decoupled weight decay:
///
/// p ← p·(1 − lr·λ) − lr·sign(β₁·m + (1 − β₁)·g); m ← β₂·m + (1 − β₂)·g.
///
/// Every step is of the length lr, so that the learning rate is three to ten times smaller than Adam's, and λ as many times larger.
/// Defaults are the paper's β₁ = 0.9, β₂ = 0.99, and no weight decay.
pub type Lion = Elementwise<rules::Lion>;

impl Lion {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::Lion { beta1: 0.9, beta2: 0.99 }, learning_rate)
    }

    /// β₁ and β₂: how much of the momentum is in a step, and how much of it is kept.
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.rule.beta1, self.rule.beta2) = (beta1, beta2);
        self
    }
}

impl Settings for rules::Lion {
    fn check(&self) -> Result<()> {
        share("first beta", self.beta1)?;
        share("second beta", self.beta2)?;
        Ok(())
    }
}
