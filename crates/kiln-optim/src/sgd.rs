//! Stochastic gradient descent.

use crate::check::not_negative;
use crate::state::State;
use kiln_tensor::{Error, Result, UpdateRule};

/// Stochastic gradient descent with momentum, as in PyTorch:
///
/// g ← g + λ·p; v ← μ·v + (1 − τ)·g (v ← g in the first step); p ← p − lr·v, or p − lr·(g + μ·v) in Nesterov's form.
///
/// (Keras scales its velocity by the learning rate, which is the same while the rate stays.)
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    pub(crate) state: State,
}

impl Sgd {
    /// Plain descent at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        let state = State::new(learning_rate, &[]);
        Sgd { momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, state }
    }

    /// μ: how much of the last step is kept.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self.state = State::new(self.state.learning_rate, if momentum == 0.0 { &[] } else { &["momentum_buffer"] });
        self
    }

    /// τ: the gradient enters the velocity with 1 − τ. Without a momentum there is no velocity, and this does nothing.
    #[must_use]
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.dampening = dampening;
        self
    }

    /// λ: λ·p is added to the gradient.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Nesterov's form, which looks one step ahead; it needs a momentum and no dampening.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    fn rule(&self) -> Result<UpdateRule> {
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::value("optimizer.step", "Nesterov's form needs a momentum above 0 and no dampening"));
        }
        Ok(UpdateRule::Sgd {
            momentum: not_negative("momentum", self.momentum)?,
            dampening: not_negative("dampening", self.dampening)?,
            weight_decay: not_negative("weight decay", self.weight_decay)?,
            nesterov: self.nesterov,
        })
    }
}

crate::optimizer!(Sgd);
