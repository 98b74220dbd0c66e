#![doc = include_str!("../README.md")]
#![cfg_attr(target_arch = "nvptx64", no_std, feature(core_float_math))]

pub mod draws;
mod dual;
pub mod elementary;
pub mod laws;
mod machine;
mod numbers;
mod odd;
pub mod ops;
pub mod philox;
mod real;
pub mod recurrent;
mod sums;
pub mod update;

pub use draws::{Purpose, RandomStream};
pub use dual::Dual;
pub use laws::Law;
pub use numbers::Unfused;
pub use odd::{round_integer_to_odd, round_to_odd};
pub use ops::{Binary, BinaryOp, Integer, IntegerOp, Unary, UnaryOp};
pub use real::Real;
pub use recurrent::RecurrentCell;
pub use sums::{K_BLOCK, taps_in_block};
pub use update::UpdateRule;
