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
mod deterministic;
mod device;
mod driver;
mod dtype;
mod error;
mod indexing;
mod interchange;
mod layout;
#[cfg(feature = "linalg")]
mod linalg;
mod machine;
mod nearest;
mod plan;
pub mod profile;
mod shape;
mod shown;
mod storage;
mod tensor;
mod tensors;
mod traced;
mod window;

#[doc(hidden)]
pub use allocator::out_of_memory;
pub use arithmetic::Arithmetic;
pub use backend::{
    ArgReduceOp, Backend, CompareOp, DeviceBuffer, Distribution, Epilogue, MemoryStats, Out, ReduceOp, ScatterOp,
    UnaryCall, View, unsupported_dtype,
};
pub use call::{Call, Ran};
pub use derived::TensordotAxes;
pub use derived::grow::PadMode;
pub use derived::sort::Interpolation;
pub use deterministic::{cpu_multiplies_bf16, set_deterministic};
pub use device::Device;
pub use dtype::{DType, Element};
pub use error::{Error, ErrorKind, Result};
pub use indexing::IndexItem;
pub use kiln_cpu::blend::Taps;
pub use kiln_math::{RecurrentCell, UpdateRule};
pub use layout::Layout;
pub use nearest::nearest;
pub use plan::{InputRanges, Plan, PlanStep, Precision};
pub use shape::{IntoShape, MAX_RANK, Shape, broadcast_shapes};
#[doc(hidden)]
pub use shown::{bytes_shown, grouped};
pub use tensor::calls::*;
pub use tensor::composed;
pub use tensor::{
    Attended, AttentionGradients, AttentionOptions, AttentionReach, Axes, CrossEntropyOptions, CustomOp, Cut,
    HeadOrder, HostOperand, HostOutput, IntoAxes, IntoAxis, LinearCrossEntropy, MatmulOptions, Maxima, Normalization,
    NormalizeGradients, Order, PackedSequences, QueryPlace, RecurrentGradients, RecurrentStates, RecurrentSteps,
    RowNorm, RowNormed, ScanOp, Several, SoftmaxKind, Tensor, Unique, UpdatePart, UpdateSlot, UpdateTensors,
    VocabularyTarget, axis_index, taps, transposed_taps,
};
pub use tensors::Tensors;
pub use traced::{Tape, Traced, Value};
pub use window::{ConvOptions, Convolution, MAX_SPATIAL, Padding, PerAxis, PoolOptions, Window};
