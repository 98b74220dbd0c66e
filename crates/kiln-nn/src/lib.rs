#![doc = include_str!("../README.md")]

// The derive macro names this crate by its outside name, here too.
extern crate self as kiln_nn;

mod activation;
mod architecture;
mod carried;
mod class_axis;
mod context;
mod describe;
mod graph;
mod init;
mod layer;
mod layers;
pub mod losses;
mod module;
mod orthogonal;
mod param;
mod path;
mod pattern;
mod regularizers;
pub mod safetensors;
mod snapshot;
mod state;
mod stateful;
mod streams;
mod summary;
mod updates;
mod value;

pub use activation::Activation;
pub use carried::Carried;
pub use class_axis::ClassAxis;
pub use context::{Ctx, Here, KeptOutputs, Mode, NotFinite, Probe};
pub use describe::{Describe, Part, settings};
pub use graph::{Callee, Graph, Node, Nodes, Shared};
pub use init::{Fans, Init, Initializer};
pub use kiln_nn_derive::{Describe, FromValue, IntoValue, Module};
pub use layer::{AnyLayer, Layer, MaskRule, Method, ShapeOf};
pub use layers::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
    AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, ChannelDropout, Concat,
    Conv, Conv1d, Conv2d, Conv3d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, Dense, DepthwiseConv,
    DepthwiseConv1d, DepthwiseConv2d, Dropout, Dropout1d, Dropout2d, Flatten, GlobalAvgPool, GlobalMaxPool, GroupNorm,
    InstanceNorm, LayerNorm, Linear, LocalResponseNorm, LpPool, LpPool1d, LpPool2d, MaxPool, MaxPool1d, MaxPool2d,
    MaxPool3d, Reshape, Residual, RmsNorm, SeparableConv, SeparableConv1d, SeparableConv2d, Sequential, Upsample,
    Upsample1d, Upsample2d, ZeroPad, ZeroPad1d, ZeroPad2d,
};
pub use layers::{
    Add, Concatenate, Embedding, Gru, GruCell, KerasWeights, Lstm, LstmCell, Masking, Merge, Multiply, RecurrentState,
    SequenceInputs, SimpleRnn, SimpleRnnCell, Subtract, TimeDistributed,
};
pub use losses::{
    BinaryCrossentropy, CategoricalCrossentropy, Counting, Loss, MeanAbsoluteError, MeanSquaredError,
    SparseCategoricalCrossentropy,
};
pub use module::{Module, Visitor, VisitorMut};
pub use param::{Buffer, BufferId, Param};
pub use path::{Path, Segment};
pub use pattern::PathPattern;
pub use regularizers::{L1, L1L2, L2};
pub use snapshot::Snapshot;
pub use state::{StateDict, Unmatched};
pub use stateful::Stateful;
pub use value::{FromValue, IntoValue, Mask, SampleShape, Sequence, Shapes, Value};

// What the derive macros name.
pub use kiln_autograd::Var;
pub use kiln_tensor::Result;
pub use serde_json::Value as Json;

/// The derive macro's README, whose example stands on this crate.
#[cfg(doctest)]
#[doc = include_str!("../../kiln-nn-derive/README.md")]
pub struct DeriveReadme;
