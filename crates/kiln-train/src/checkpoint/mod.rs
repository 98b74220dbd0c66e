//! Checkpoints: all that a training needs to go on with the same bits, in a folder.

mod callback;
mod every;
mod files;
mod resume;
mod saver;
mod status;

pub use callback::Checkpoint;
pub use every::Every;
pub use files::{HISTORY, TRAINING, WEIGHTS};
pub use resume::Resumed;
pub use status::{Best, Phase, Status};
