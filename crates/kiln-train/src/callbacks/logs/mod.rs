//! Logs: files that grow while a training runs.
//!
//! A run can be killed at any instant and resumed from a checkpoint that is older than the last lines of its logs. So a log's state
//! ([`Callback::state`](crate::Callback::state)) has the lengths of its files, and a resumed run cuts them to these before it goes on.

mod csv;
mod failures;
mod file;
mod json_lines;
mod tensorboard;

pub use csv::*;
pub use json_lines::*;
pub use tensorboard::*;

use super::Every;
use crate::Run;
use failures::{Failures, on_failure};
use file::LogFile;
use kiln_nn::StateDict;
use kiln_tensor::{Device, Result, Tensor};

/// Whether a validation is one between steps, and not that of the epoch, which the epoch reports.
fn is_within_epoch(run: &Run<'_>) -> bool {
    let progress = run.progress();
    progress.batch < progress.batches
}

/// Enters the learning rate of the last step into a state: at the end of an epoch that is resumed there, no step tells it.
fn save_rate(rate: f64, state: &mut StateDict) -> Result<()> {
    state.insert("learning_rate".to_owned(), Tensor::scalar(rate, &Device::cpu())?);
    Ok(())
}

/// What [`save_rate`] has entered.
fn load_rate(rate: &mut f64, state: &StateDict) -> Result<()> {
    if let Some(value) = state.get("learning_rate") {
        *rate = value.item()?;
    }
    Ok(())
}
