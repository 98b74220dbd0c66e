#![doc = include_str!("../README.md")]

mod backend;
#[cfg(feature = "cuda")]
mod driver;
mod machine;
#[cfg(feature = "sim")]
mod sim;

#[cfg(feature = "cuda")]
pub use driver::{Card, DriverError, cuda, devices};
#[cfg(feature = "sim")]
pub use sim::{Simulated, simulator};
