//! Checkpoints: all that a training needs to go on with the same bits, in a folder.

mod status;

pub use status::{Best, Phase, Status};
