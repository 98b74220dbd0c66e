//! The adding problem: which two of fifty numbers are marked, and what is their sum? GRU 64, Dense 1; Adam.

use super::{Prepared, Setup, compile};
use kiln::datasets::AddingProblem;
use kiln::prelude::*;

/// Steps of a sequence.
const STEPS: usize = 50;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    Sequential::new().push(Gru::new(64)).push(Dense::new(1)).build([STEPS, 2], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    // Sequences that were never seen before, on either side.
    let train = AddingProblem::new(20_000, STEPS, setup.seed)?;
    let test = AddingProblem::new(2_000, STEPS, setup.seed ^ u64::MAX)?;

    let model = model(setup.device, setup.seed)?;
    // Through fifty steps gradients may explode.
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.005)).clip_norm(1.0);
    let trainer = compile(model, optimizer, MeanSquaredError::new());
    Ok(Prepared::new(trainer, train, test, 5, 64))
}
