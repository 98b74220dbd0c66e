//! LAMB.

use crate::check::{not_negative, share};
use crate::state::Move;
use crate::{EPSILON, Optimizer, State};
use kiln_autograd::Gradients;
use kiln_math::update::Adam;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{Result, Tensor};

/// LAMB (You et al. 2020), for large batches: each parameter tensor's step is as long as the tensor itself, times the learning rate.
///
/// u = m̂ / (√v̂ + ε) + λ·p; p ← p − lr · ‖p‖/‖u‖ · u, with [`Adam`](crate::Adam)'s m̂ and v̂, and 1 for the quotient where a norm is 0.
///
/// Defaults are the paper's β₁ = 0.9, β₂ = 0.999, no weight decay and, as in all of Kiln, Keras's ε = 1e−7; the paper's is 1e−6. The norms
/// stay in the device's memory: no step waits for them.
///
/// ```
/// use kiln_optim::{Lamb, Optimizer};
/// let optimizer = Lamb::new(2e-3).weight_decay(0.01).no_decay_on_biases_and_norms();
/// ```
#[derive(Debug)]
pub struct Lamb {
    adam: Adam,
    state: State,
}

impl Lamb {
    /// The default settings at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        let adam = Adam { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };
        Lamb { adam, state: State::new(learning_rate, &["exp_avg", "exp_avg_sq"]) }
    }

    /// β₁ and β₂: how much of the first and second moments is kept in a step.
    #[must_use]
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        (self.adam.beta1, self.adam.beta2) = (beta1, beta2);
        self
    }

    /// ε, which keeps the quotient finite; 0 is allowed, as with [`Adam`](crate::Adam).
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.adam.epsilon = epsilon;
        self
    }

    /// λ, the weight decay: λ·p is part of the step whose length is set.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.state.set_weight_decay(weight_decay);
        self
    }

    fn check_settings(&self) -> Result<()> {
        share("first beta", self.adam.beta1)?;
        share("second beta", self.adam.beta2)?;
        not_negative("epsilon", self.adam.epsilon)?;
        Ok(())
    }
}

impl Optimizer for Lamb {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.check_settings()?;
        self.state.step_along(&self.adam, model, gradients, apply, |x, direction| {
            let along = match x.weight_decay {
                0.0 => direction,
                decay => direction.sub(&x.parameter.mul_scalar(decay)?)?,
            };
            let (own, of_step) = (x.parameter.norm(2.0, ..)?, along.norm(2.0, ..)?);
            let (zero, one) = (x.number(0.0)?, x.number(1.0)?);
            let usable = own.gt(&zero)?.logical_and(&of_step.gt(&zero)?)?;
            let trust = Tensor::select(&usable, &own.div(&of_step)?, &one)?;
            Ok(Move { keep: 1.0, by: trust.mul_scalar(x.learning_rate)?, along })
        })
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.check_settings()?;
        self.state.check(model)
    }
    by_its_state!("Lamb");
}

stateful! { Lamb }
