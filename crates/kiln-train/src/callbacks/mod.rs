//! The callbacks that come with Kiln. A new one is exported by the globs here and in lib.rs.

mod activation_statistics;
mod averaging;
mod class_weights;
mod clip;
mod closures;
mod early_stopping;
mod every;
mod gradient_norms;
mod logs;
mod meter;
mod monitor;
mod nan_guard;
mod plateau;
mod progress;
mod stop_flag;
mod terminate_on;

pub use activation_statistics::*;
pub use averaging::*;
pub use early_stopping::*;
pub use gradient_norms::*;
pub use logs::*;
pub use meter::*;
pub use plateau::*;
pub use progress::*;
pub use terminate_on::*;

pub(crate) use class_weights::ClassWeights;
pub(crate) use clip::ClipGradients;
pub(crate) use closures::{OnBatch, OnEpoch};
pub(crate) use every::Every;
pub(crate) use monitor::{direction, expect_reported, foreign};
pub(crate) use nan_guard::NanGuard;
pub(crate) use stop_flag::StopFlag;
