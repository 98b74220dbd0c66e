#![doc = include_str!("../README.md")]

// The derive macro names this crate by its outside name, here too.
extern crate self as kiln_nn;

mod activation;
mod architecture;
mod context;
mod init;
mod layer;
mod layers;
pub mod losses;
mod module;
mod param;
mod path;
mod regularizers;
pub mod safetensors;
mod state;
mod streams;
mod summary;

pub use activation::Activation;
pub use context::Ctx;
pub use init::{Fans, Init, Initializer};
pub use kiln_nn_derive::Module;
pub use layer::Layer;
pub use layers::{Dense, Dropout, Flatten, Linear, Sequential};
pub use losses::{
    BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanAbsoluteError, MeanSquaredError,
    SparseCategoricalCrossentropy,
};
pub use module::{Module, Visitor, VisitorMut};
pub use param::{Buffer, BufferId, Param};
pub use path::{Path, Segment};
pub use regularizers::{L1, L1L2, L2};
pub use state::{StateDict, Unmatched};

/// The derive macro's README, whose example stands on this crate.
#[cfg(doctest)]
#[doc = include_str!("../../kiln-nn-derive/README.md")]
pub struct DeriveReadme;
