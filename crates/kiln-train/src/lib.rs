#![doc = include_str!("../README.md")]

mod adapt;
mod batch_norm;
mod callback;
pub mod callbacks;
pub mod checkpoint;
mod criterion;
mod fit;
mod held;
mod history;
mod learning_rate;
mod measure;
pub mod metrics;
mod mixed;
mod objective;
mod options;
mod predict;
mod run;
mod state;
mod trainer;

pub use adapt::adapt;
pub use callback::Callback;
pub use callbacks::*;
pub use checkpoint::{Best, Checkpoint, Every, Phase, Resumed, Status};
pub use criterion::{Criterion, Losses, OutputLoss};
pub use history::{EpochRecord, Evaluation, History};
pub use learning_rate::{LearningRateFinder, LearningRates, RatePoint};
pub(crate) use measure::measure;
pub use metrics::all::*;
pub use metrics::{ClassAverage, Count, MeanMetric, Measured, Metric, MetricState, MetricValue, Seen, Table};
pub use mixed::Mixed;
pub use objective::{Objective, Outcome, Prediction, Supervised};
pub use options::{EvaluateOptions, FitOptions};
pub use run::{Progress, Run, Scalar};
pub use state::TrainState;
pub use trainer::{Trainer, compile};
