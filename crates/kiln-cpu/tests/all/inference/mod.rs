//! The kernels of compiled inference against the operations that they stand for, one after the other.

mod direct;
mod int8;
mod layout;
mod pool;
mod steps;
mod winograd;
