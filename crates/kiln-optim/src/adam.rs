//! Adam and AdamW.

use crate::check::{not_negative, share};
use crate::state::State;
use kiln_tensor::{Result, UpdateRule};

const MOMENTS: &[&str] = &["exp_avg", "exp_avg_sq"];

/// Adam (Kingma and Ba 2015):
///
/// m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; p ← p − lr · m̂ / (√v̂ + ε), with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).
///
/// Defaults are β₁ = 0.9, β₂ = 0.999, and Keras's ε = 1e−7 (PyTorch's is 1e−8). ε is added after the bias correction, as
/// in the paper and in PyTorch; Keras adds it before, which matters in the first steps only. `weight_decay` is λ·p added
/// to the gradient; for decoupled decay see [`AdamW`].
#[derive(Debug)]
pub struct Adam {
    settings: Settings,
    pub(crate) state: State,
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019): p ← p·(1 − lr·λ) before [`Adam`]'s step.
///
/// Defaults are PyTorch's: β₁ = 0.9, β₂ = 0.999, ε = 1e−8, λ = 0.01.
#[derive(Debug)]
pub struct AdamW {
    settings: Settings,
    pub(crate) state: State,
}

#[derive(Debug)]
struct Settings {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    decoupled: bool,
}

impl Settings {
    fn rule(&self) -> Result<UpdateRule> {
        Ok(UpdateRule::Adam {
            beta1: share("first beta", self.beta1)?,
            beta2: share("second beta", self.beta2)?,
            epsilon: not_negative("epsilon", self.epsilon)?,
            weight_decay: not_negative("weight decay", self.weight_decay)?,
            decoupled: self.decoupled,
        })
    }
}

macro_rules! adam {
    ($type:ident, $epsilon:literal, $weight_decay:literal, $decoupled:literal) => {
        impl $type {
            /// The default settings at this learning rate.
            pub fn new(learning_rate: f64) -> Self {
                let settings = Settings {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: $epsilon,
                    weight_decay: $weight_decay,
                    decoupled: $decoupled,
                };
                $type { settings, state: State::new(learning_rate, MOMENTS) }
            }

            /// β₁ and β₂: how much of the first and second moments is kept in a step.
            #[must_use]
            pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
                (self.settings.beta1, self.settings.beta2) = (beta1, beta2);
                self
            }

            /// ε, which keeps the quotient finite; 0 is allowed. A parameter that never had a gradient then stays as it is (in
            /// PyTorch it becomes NaN, 0/0).
            #[must_use]
            pub fn epsilon(mut self, epsilon: f64) -> Self {
                self.settings.epsilon = epsilon;
                self
            }

            /// λ.
            #[must_use]
            pub fn weight_decay(mut self, weight_decay: f64) -> Self {
                self.settings.weight_decay = weight_decay;
                self
            }

            fn rule(&self) -> Result<UpdateRule> {
                self.settings.rule()
            }
        }
        crate::optimizer!($type);
    };
}
adam!(Adam, 1e-7, 0.0, false);
adam!(AdamW, 1e-8, 1e-2, true);
