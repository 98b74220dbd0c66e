#![doc = include_str!("../README.md")]

mod callbacks;
mod class_weights;
mod diverged;
mod history;
mod last_batch;
mod metrics;
mod objective;
mod options;
mod progress;
mod running;
mod trainer;

pub use callbacks::{Callback, EarlyStopping};
pub use history::{EpochRecord, Evaluation, History};
pub use metrics::{Accuracy, AccuracyAlong, Count, Measured, Metric};
pub use objective::{Objective, Outcome, Supervised};
pub use options::{EvaluateOptions, FitOptions, Progress};
pub use progress::ProgressBar;
pub use trainer::{Trainer, compile};
