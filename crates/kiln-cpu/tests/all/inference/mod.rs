//! The kernels of compiled inference against the operations that they stand for, one after the other.

mod direct;
mod layout;
mod pool;
mod steps;
mod winograd;
