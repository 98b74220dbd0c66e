//! The files of a checkpoint.

use super::Status;
use crate::{EpochRecord, History};
use kiln_nn::{StateDict, safetensors};
use kiln_store::Generation;
use kiln_tensor::{Device, Error, Result};

/// The model's parameters and buffers, as [`kiln_nn::safetensors::save`] writes them.
pub const WEIGHTS: &str = "model.safetensors";
/// What else a training needs to go on: `optimizer.…` and `state.…` of [`Trainer`](crate::Trainer)'s state.
pub const TRAINING: &str = "training.safetensors";
/// The epochs that were completed, as [`History::to_csv`] writes them.
pub const HISTORY: &str = "history.csv";

/// What comes before the names of the model's entries in a trainer's state.
const MODEL: &str = "model.";

/// The files of a training's state.
pub(super) fn encode(state: &StateDict, history: Vec<EpochRecord>, status: &Status) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut weights, mut training) = (StateDict::new(), StateDict::new());
    for (name, value) in state {
        match name.strip_prefix(MODEL) {
            Some(path) => weights.insert(path.to_owned(), value.clone()),
            None => training.insert(name.clone(), value.clone()),
        };
    }
    let history = History { epochs: history, ..History::default() };
    Ok(vec![
        (WEIGHTS.to_owned(), safetensors::encode(&weights)?),
        (TRAINING.to_owned(), safetensors::encode(&training)?),
        (HISTORY.to_owned(), history.to_csv().into_bytes()),
        (Status::FILE.to_owned(), status.encode()?),
    ])
}

/// The state that [`encode`] wrote.
pub(super) fn decode(generation: &Generation) -> Result<StateDict> {
    let read = |name: &str| {
        let path = generation.path(name)?;
        safetensors::read(path, &Device::cpu())
    };
    let weights = read(WEIGHTS)?.into_iter().map(|(path, value)| (format!("{MODEL}{path}"), value));
    let mut state: StateDict = weights.collect();
    state.extend(read(TRAINING)?);
    Ok(state)
}

/// Its `progress.json`.
pub(super) fn status(generation: &Generation) -> Result<Status> {
    Status::decode(&generation.read(Status::FILE)?).map_err(|error| {
        let message = format!("{}: {}", generation.folder().display(), error.message());
        Error::new(error.kind(), "resume", message)
    })
}
