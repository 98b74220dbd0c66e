#![doc = include_str!("../README.md")]

mod forward;
mod library;
mod status;

pub use library::{missing_driver, symbol};
pub use status::{Cause, Failure, last_failure};
