#![doc = include_str!("../README.md")]

#[cfg(any(feature = "sim", feature = "cuda"))]
mod backend;
#[cfg(feature = "cuda")]
mod driver;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod gpu;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod machine;
#[cfg(feature = "sim")]
mod sim;
#[cfg(any(feature = "sim", feature = "cuda"))]
mod tile;

#[cfg(feature = "cuda")]
pub use driver::{Card, DriverError, device, devices};
#[cfg(feature = "sim")]
pub use sim::{Simulated, simulator};
