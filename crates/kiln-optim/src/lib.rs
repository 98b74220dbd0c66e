#![doc = include_str!("../README.md")]

mod adam;
mod check;
mod clip;
mod sgd;
mod state;

pub use adam::{Adam, AdamW};
pub use clip::{Clip, Clipped, clip_gradient_norm, clip_gradient_value, gradient_norm};
pub use sgd::Sgd;

use kiln_autograd::Gradients;
use kiln_nn::{Module, StateDict};
use kiln_tensor::Result;

/// Changes a model's parameters by their gradients.
///
/// What it remembers of a parameter (moments, velocities) is filed under the parameter's path, so it survives a model's
/// saving and loading. All parameters are updated in one pass over memory.
pub trait Optimizer: Send {
    /// One step. Parameters without a gradient (unused in this step, or frozen) stay as they are, with their state.
    ///
    /// # Errors
    /// Settings that make no sense (a learning rate that is negative or not finite), a gradient of another shape,
    /// dtype or device than its parameter, or no gradient for any parameter of this model. Then nothing was changed:
    /// everything is checked first.
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()>;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the steps that follow; it is checked by [`Optimizer::step`].
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// How many steps were made.
    fn steps(&self) -> u64;

    /// The type's name: `Adam`.
    fn name(&self) -> &'static str;

    /// What is needed to go on where it stopped: `step`, `learning_rate`, and `state.PATH.NAME` for each parameter, where
    /// NAME is PyTorch's: `momentum_buffer`, or `exp_avg` and `exp_avg_sq`.
    ///
    /// # Errors
    /// Out of memory.
    fn state_dict(&self) -> Result<StateDict>;

    /// Takes over what [`Optimizer::state_dict`] gave; other settings stay as they were made.
    ///
    /// # Errors
    /// Entries that are missing, or not of this kind of optimizer; nothing is changed then. That the tensors fit the model is
    /// checked by the next step, before it changes anything.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn step(&mut self, model: &mut dyn Module, gradients: &Gradients) -> Result<()> {
        (**self).step(model, gradients)
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }
    fn steps(&self) -> u64 {
        (**self).steps()
    }
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn state_dict(&self) -> Result<StateDict> {
        (**self).state_dict()
    }
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        (**self).load_state_dict(state)
    }
}

/// The methods that all optimizers here have in common: they differ in their rule alone.
macro_rules! optimizer {
    ($type:ident) => {
        impl $crate::Optimizer for $type {
            fn step(
                &mut self,
                model: &mut dyn kiln_nn::Module,
                gradients: &kiln_autograd::Gradients,
            ) -> kiln_tensor::Result<()> {
                let rule = self.rule()?;
                self.state.step(rule, model, gradients)
            }
            fn learning_rate(&self) -> f64 {
                self.state.learning_rate
            }
            fn set_learning_rate(&mut self, learning_rate: f64) {
                self.state.learning_rate = learning_rate;
            }
            fn steps(&self) -> u64 {
                self.state.count()
            }
            fn name(&self) -> &'static str {
                stringify!($type)
            }
            fn state_dict(&self) -> kiln_tensor::Result<kiln_nn::StateDict> {
                self.state.state_dict()
            }
            fn load_state_dict(&mut self, state: &kiln_nn::StateDict) -> kiln_tensor::Result<()> {
                self.state.load_state_dict(state)
            }
        }
    };
}
use optimizer;
