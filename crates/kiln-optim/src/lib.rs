#![doc = include_str!("../README.md")]

/// [`Stateful`](kiln_nn::Stateful) of an optimizer whose `state` is all that changes.
macro_rules! stateful {
    ($name:ident) => {
        impl Stateful for $name {
            fn state_dict(&self) -> Result<StateDict> {
                self.state.state_dict(self.name())
            }
            fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
                let name = self.name();
                self.state.load_state_dict(name, state)
            }
        }
    };
}

/// What an [`Optimizer`] answers by its own `state`.
macro_rules! by_its_state {
    ($name:literal) => {
        fn name(&self) -> &'static str {
            $name
        }
        fn state(&self) -> &State {
            &self.state
        }
        fn state_mut(&mut self) -> &mut State {
            &mut self.state
        }
    };
}

/// What an [`Optimizer`] around another one answers by that, in the field `optimizer`.
macro_rules! by_its_optimizer {
    () => {
        fn name(&self) -> &'static str {
            self.optimizer.name()
        }
        fn state(&self) -> &State {
            self.optimizer.state()
        }
        fn state_mut(&mut self) -> &mut State {
            self.optimizer.state_mut()
        }
    };
}

mod accumulated;
mod adafactor;
mod adaptive;
mod averages;
mod check;
mod clip;
mod descent;
mod elementwise;
mod group;
mod lamb;
mod lbfgs;
mod lookahead;
mod loss_scale;
mod moments;
mod muon;
mod norm;
mod optimizer;
mod sam;
mod schedule;
mod state;
mod weight_average;

pub use accumulated::*;
pub use adafactor::Adafactor;
pub use adaptive::*;
pub use clip::{Clip, Clipped, clip_gradient_norm, clip_gradient_value};
pub use descent::*;
pub use elementwise::{Elementwise, Settings};
pub use group::Group;
pub use lamb::Lamb;
pub use lbfgs::Lbfgs;
pub use lookahead::Lookahead;
pub use loss_scale::LossScale;
pub use moments::*;
pub use muon::Muon;
pub use optimizer::Optimizer;
pub use sam::{Ascent, Sam};
pub use schedule::*;
pub use state::{State, Whole};
pub use weight_average::WeightAverage;

/// ε of all optimizers where nothing is said: Keras's. PyTorch's is 1e−8.
const EPSILON: f64 = 1e-7;

/// What most programs use.
pub mod prelude {
    pub use crate::accumulated::*;
    pub use crate::adaptive::*;
    pub use crate::descent::*;
    pub use crate::moments::*;
    pub use crate::schedule::named::*;
    pub use crate::{
        Adafactor, Clip, Group, Lamb, Lbfgs, Lookahead, LossScale, Muon, Optimizer, Sam, Schedule, WeightAverage,
    };
}
