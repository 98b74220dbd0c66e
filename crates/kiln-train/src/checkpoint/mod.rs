//! Checkpoints: all that a training needs to go on with the same bits, in a folder.

mod callback;
mod every;
mod files;
mod folder;
mod options;
mod resume;
mod saver;
mod state;
mod status;

pub use every::Every;
pub use files::{HISTORY, TRAINING, WEIGHTS};
pub use options::Checkpoint;
pub use resume::Resumed;
pub use status::{Best, Phase, Status};
