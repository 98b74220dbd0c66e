//! From a dtype to the type that a kernel is launched with.

use super::Gpu;
use crate::machine::Machine;
use cuda_std::{Geometry, Kernel};
use kiln_tensor::Result;

/// `$body` with `$T` as the floating type that a dtype is computed in.
macro_rules! by_float {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            kiln_tensor::DType::F64 => {
                type $T = f64;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}
pub(super) use by_float;

/// `$body` with `$T` as an integer of a dtype's size, for elements that are only moved.
macro_rules! by_size {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype.size() {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}
pub(super) use by_size;

/// `$body` with `$T` as the type that elements of a dtype are compared in.
macro_rules! by_order {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            kiln_tensor::DType::I64 => {
                type $T = i64;
                $body
            }
            kiln_tensor::DType::U8 | kiln_tensor::DType::Bool => {
                type $T = u8;
                $body
            }
            other => $crate::backend::dispatch::by_float!(other, $T => $body),
        }
    };
}
pub(super) use by_order;

impl<M: Machine> Gpu<M> {
    /// Launches a kernel.
    pub(super) fn run(&self, kernel: impl Kernel, geometry: Geometry) -> Result<()> {
        self.launched(kernel.launch(self, geometry))
    }

    /// Launches a kernel for one value of its constant.
    pub(super) fn run_with(&self, constant: usize, kernel: impl Kernel, geometry: Geometry) -> Result<()> {
        self.launched(kernel.launch_with(constant, self, geometry))
    }
}
