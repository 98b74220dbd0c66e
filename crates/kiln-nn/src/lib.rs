#![doc = include_str!("../README.md")]

// The derive macro names this crate by its outside name, here too.
extern crate self as kiln_nn;

mod activation;
mod architecture;
mod carried;
mod class_axis;
mod constraints;
mod context;
mod describe;
mod graph;
mod inference;
mod init;
mod initializer;
mod layer;
pub mod layers;
pub mod losses;
pub mod models;
mod module;
mod param;
mod path;
mod pattern;
mod per_sample;
mod regularizers;
pub mod safetensors;
mod several;
mod snapshot;
mod state;
mod stateful;
mod streams;
mod summary;
mod training_memory;
mod updates;
mod value;
mod visit;

pub use activation::Activation;
pub use carried::Carried;
pub use class_axis::ClassAxis;
pub use constraints::{Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm};
pub use context::{CarriedUse, Ctx, Here, KeptOutputs, Mode, NotFinite, Probe, full_precision_layers};
pub use describe::{Describe, Part, settings};
pub use graph::{Callee, Graph, Node, Nodes, Shared};
pub use inference::{Calibration, InferenceOptions, InferencePlan};
pub use init::{Fans, Init};
pub use initializer::{FanMode, Initializer, VarianceLaw};
pub use kiln_nn_derive::{Describe, FromValue, IntoValue, Module};
pub use layer::{AnyLayer, Layer, LayerPrecision, MaskRule, Method, ShapeOf};
pub use layers::*;
pub use losses::all::*;
pub use losses::{Counting, Loss, Reduction};
pub use module::Module;
pub use param::{Buffer, BufferId, Param};
pub use path::{Path, Segment};
pub use pattern::PathPattern;
pub use per_sample::{SampleNorms, per_sample_norms};
pub use regularizers::{L1, L1L2, L2};
pub use snapshot::Snapshot;
pub use state::{StateDict, Unmatched};
pub use stateful::Stateful;
pub use training_memory::TrainingMemory;
pub use value::{Documents, FromValue, IntoValue, Mask, OutputPart, Projection, SampleShape, Sequence, Shapes, Value};
pub use visit::{Visitor, VisitorMut};

/// What most programs use.
pub mod prelude {
    pub use crate::layers::named::*;
    pub use crate::losses::all::*;
    pub use crate::{
        Activation, Calibration, Ctx, Describe, FanMode, Fans, Graph, InferenceOptions, InferencePlan, Init,
        Initializer, L1, L1L2, L2, Layer, Loss, MaxNorm, MinMaxNorm, Module, NonNeg, Param, Sequence, StateDict,
        Stateful, UnitNorm, Value, VarianceLaw, per_sample_norms,
    };
}

// What the derive macros name.
pub use kiln_autograd::Var;
pub use kiln_tensor::Result;
pub use serde_json::Value as Json;

/// The derive macro's README, whose example stands on this crate.
#[cfg(doctest)]
#[doc = include_str!("../../kiln-nn-derive/README.md")]
pub struct DeriveReadme;
