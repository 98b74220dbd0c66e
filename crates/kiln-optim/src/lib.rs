#![doc = include_str!("../README.md")]

mod accumulated;
mod adaptive;
mod check;
mod clip;
mod descent;
mod elementwise;
mod group;
mod moments;
mod norm;
mod optimizer;
mod schedule;
mod state;

pub use accumulated::*;
pub use adaptive::*;
pub use clip::{Clip, Clipped, clip_gradient_norm, clip_gradient_value};
pub use descent::*;
pub use elementwise::{Elementwise, Settings};
pub use group::Group;
pub use moments::*;
pub use optimizer::Optimizer;
pub use schedule::*;
pub use state::{State, Whole};

/// ε of all optimizers where nothing is said: Keras's. PyTorch's is 1e−8.
const EPSILON: f64 = 1e-7;

/// What most programs use.
pub mod prelude {
    pub use crate::accumulated::*;
    pub use crate::adaptive::*;
    pub use crate::descent::*;
    pub use crate::moments::*;
    pub use crate::schedule::named::*;
    pub use crate::{Clip, Group, Optimizer, Schedule};
}
