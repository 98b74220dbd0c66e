//! Optimizers whose rule treats each element by itself: those of kiln-math's list.

use crate::{Optimizer, State};
use kiln_autograd::Gradients;
use kiln_math::update::Listed;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{DType, Result, Tensor};

/// A rule of the list whose settings are checked before a step.
pub trait Settings: Listed {
    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// One sentence.
    fn check(&self) -> Result<()>;
}

/// An optimizer with an elementwise update rule: [`Sgd`](crate::Sgd), [`Adam`](crate::Adam) and the others are names of it.
///
/// A step is one pass over all parameters and their states. Parameters and gradients of half types are computed in f32 and rounded
/// once; the states are f32 then.
#[derive(Debug)]
pub struct Elementwise<R> {
    pub(crate) rule: R,
    pub(crate) state: State,
}

impl<R: Settings> Elementwise<R> {
    pub(crate) fn with(rule: R, learning_rate: f64) -> Self {
        Elementwise { rule, state: State::new(learning_rate, R::STATES) }
    }

    /// λ, the weight decay.
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.state.set_weight_decay(weight_decay);
        self
    }

    /// The type of the states, f32, f16 or bf16: half types take half of the memory, and round each step. It is the type that
    /// parameters are computed in where nothing is said; f64 parameters have f64 states in any case.
    #[must_use]
    pub fn state_dtype(mut self, dtype: DType) -> Self {
        self.state.set_state_dtype(dtype);
        self
    }
}

impl<R: Settings> Optimizer for Elementwise<R> {
    fn step_if(&mut self, model: &mut dyn Module, gradients: &Gradients, apply: Option<&Tensor>) -> Result<()> {
        self.rule.check()?;
        self.state.step(&self.rule, model, gradients, apply)
    }
    fn check(&self, model: &dyn Module) -> Result<()> {
        self.rule.check()?;
        self.state.check(model)
    }
    fn name(&self) -> &'static str {
        R::RULE.name()
    }
    fn state(&self) -> &State {
        &self.state
    }
    fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl<R: Settings> Stateful for Elementwise<R> {
    fn state_dict(&self) -> Result<StateDict> {
        self.state.state_dict(self.name())
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let name = self.name();
        self.state.load_state_dict(name, state)
    }
}
