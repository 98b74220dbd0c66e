#![doc = include_str!("../README.md")]

mod backend;
mod machine;
#[cfg(feature = "sim")]
mod sim;

#[cfg(feature = "sim")]
pub use sim::{Simulated, simulator};
