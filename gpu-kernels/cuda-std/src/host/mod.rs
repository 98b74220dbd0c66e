//! The host's half: typed launchers, and what kernel bodies call when a simulator runs them.
// Without the simulator nothing makes a block, so that what serves one is compiled for its types alone.
#![cfg_attr(not(feature = "sim"), allow(dead_code))]

pub(crate) mod access;
pub(crate) mod block;
pub mod fault;
pub mod index;
pub(crate) mod kernel;
pub mod launch;
mod memory;
pub(crate) mod shadow;
pub mod shared;
pub(crate) mod thread;
pub mod warp;
