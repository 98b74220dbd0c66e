//! Optimizers that divide each element's step by what its gradients have come to.

use crate::check::{not_negative, share};
use crate::{EPSILON, Elementwise, Settings};
use kiln_math::update as rules;
use kiln_tensor::Result;

/// Adagrad (Duchi et al. 2011), as in PyTorch:
///
/// s ← s + g²; p ← p − lr/(1 + (t − 1)·η) · g / (√s + ε).
///
/// Defaults are no decay η and, as in all of Kiln, Keras's ε = 1e−7; PyTorch's is 1e−10. The sum begins with 0, as in PyTorch (in Keras
/// with 0.1). `weight_decay` is λ·p added to the gradient.
pub type Adagrad = Elementwise<rules::Adagrad>;

impl Adagrad {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::Adagrad { decay: 0.0, epsilon: EPSILON }, learning_rate)
    }

    /// η: how the learning rate falls with the steps, to lr/(1 + (t − 1)·η).
    #[must_use]
    pub fn decay(mut self, decay: f64) -> Self {
        self.rule.decay = decay;
        self
    }

    /// ε, which keeps the quotient finite; 0 is allowed, as with [`Adam`](crate::Adam).
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }
}

impl Settings for rules::Adagrad {
    fn check(&self) -> Result<()> {
        not_negative("decay", self.decay)?;
        not_negative("epsilon", self.epsilon)?;
        Ok(())
    }
}

/// Adadelta (Zeiler 2012), as in PyTorch:
///
/// v ← ρ·v + (1 − ρ)·g²; d ← g · √(u + ε) / √(v + ε); u ← ρ·u + (1 − ρ)·d²; p ← p − lr·d.
///
/// Steps are of the size that earlier ones had, so the usual learning rate is 1. Defaults are PyTorch's ρ = 0.9 (Keras's is 0.95) and, as
/// in all of Kiln, Keras's ε = 1e−7; PyTorch's is 1e−6. `weight_decay` is λ·p added to the gradient.
pub type Adadelta = Elementwise<rules::Adadelta>;

impl Adadelta {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        Self::with(rules::Adadelta { rho: 0.9, epsilon: EPSILON }, learning_rate)
    }

    /// ρ: how much of the averages is kept in a step.
    #[must_use]
    pub fn rho(mut self, rho: f64) -> Self {
        self.rule.rho = rho;
        self
    }

    /// ε, which the first steps are made of.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }
}

impl Settings for rules::Adadelta {
    fn check(&self) -> Result<()> {
        share("rho", self.rho)?;
        not_negative("epsilon", self.epsilon)?;
        Ok(())
    }
}
