//! The device's half: what kernel bodies call is PTX.

pub(crate) mod access;
pub mod index;
mod kernel;
mod memory;
mod panic;
pub mod shared;
pub mod warp;
