#![doc = include_str!("../README.md")]

mod allocator;
mod arithmetic;
mod backend;
mod call;
#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
mod cpu;
#[doc(hidden)]
pub mod derived;
mod device;
mod driver;
mod dtype;
mod error;
mod interchange;
mod layout;
#[cfg(feature = "linalg")]
mod linalg;
mod machine;
mod shape;
mod storage;
mod tensor;
mod tensors;
mod traced;
mod window;

pub use arithmetic::Arithmetic;
pub use backend::{
    ArgReduceOp, Backend, CompareOp, DeviceBuffer, Distribution, Epilogue, MemoryStats, Out, ReduceOp, UnaryCall, View,
    unsupported_dtype,
};
pub use call::{Call, Ran};
pub use derived::TensordotAxes;
pub use device::Device;
pub use dtype::{DType, Element};
pub use error::{Error, ErrorKind, Result};
pub use kiln_math::{RecurrentCell, UpdateRule};
pub use layout::Layout;
pub use shape::{IntoShape, MAX_RANK, Shape, broadcast_shapes};
pub use tensor::calls::*;
pub use tensor::composed;
pub use tensor::{
    Axes, CustomOp, HostOperand, HostOutput, IntoAxes, IntoAxis, MatmulOptions, Maxima, Normalization,
    NormalizeGradients, RecurrentGradients, RecurrentStates, RecurrentSteps, SoftmaxKind, Tensor, UpdatePart,
    UpdateSlot, UpdateTensors, axis_index,
};
pub use tensors::Tensors;
pub use traced::{Tape, Traced, Value};
pub use window::{ConvOptions, Convolution, MAX_SPATIAL, Padding, PerAxis, PoolOptions, Window};
