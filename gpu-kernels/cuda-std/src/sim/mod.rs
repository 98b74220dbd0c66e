//! The simulator: kernels run on the host's threads, every access to memory and every barrier checked.

mod panics;
mod runner;
mod simulator;

pub use simulator::Simulator;
