#![doc = include_str!("../README.md")]

mod adaptive;
mod check;
mod clip;
mod descent;
mod elementwise;
mod group;
mod optimizer;
mod schedule;
mod state;

pub use adaptive::*;
pub use clip::{Clip, Clipped, clip_gradient_norm, clip_gradient_value, gradient_norm};
pub use descent::*;
pub use elementwise::{Elementwise, Settings};
pub use group::Group;
pub use optimizer::Optimizer;
pub use schedule::*;
pub use state::{State, Whole};

/// What most programs use.
pub mod prelude {
    pub use crate::adaptive::*;
    pub use crate::descent::*;
    pub use crate::schedule::named::*;
    pub use crate::{Clip, Group, Optimizer, Schedule};
}
