#![doc = include_str!("../README.md")]

mod allocator;
mod backend;
pub mod composed;
#[cfg(feature = "conformance")]
#[doc(hidden)]
pub mod conformance;
mod cpu;
mod device;
mod dtype;
mod error;
mod layout;
mod machine;
mod recurrence;
mod shape;
mod storage;
mod tensor;
mod window;

pub use backend::{
    ArgReduceOp, Backend, Buffer, CompareOp, Distribution, Epilogue, MemoryStats, Out, ReduceOp, SoftmaxKind,
    UnaryCall, UpdateRule, UpdateSlot, View, unsupported_dtype,
};
pub use device::Device;
pub use dtype::{DType, Element};
pub use error::{Error, ErrorKind, Result};
pub use kiln_math::RecurrentCell;
pub use layout::Layout;
pub use recurrence::{Recurrence, RecurrenceGrad, RecurrenceGradOut, RecurrenceOut};
pub use shape::{IntoShape, MAX_RANK, Shape, broadcast_shapes};
pub use tensor::{
    Axes, IntoAxes, MatmulOptions, Maxima, NormalizeGradients, RecurrentGradients, RecurrentOptions, RecurrentStates,
    Tensor, UpdateTensors, axis_index,
};
pub use window::{ConvOptions, Convolution, MAX_SPATIAL, Normalization, Padding, PerAxis, PoolOptions, Window};
