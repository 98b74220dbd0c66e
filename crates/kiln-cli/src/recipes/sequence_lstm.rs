//! MNIST read row by row: 28 steps of 28 pixels; LSTM 128, Dense 10 softmax; Adam; three epochs.

use super::{Prepared, Setup, compile};
use kiln::prelude::*;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    Sequential::new().push(Lstm::new(128)).push(Dense::new(10).activation(Activation::Softmax)).build(
        [28, 28],
        device,
        seed,
    )
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    // An image is a sequence of its rows.
    let Mnist { train, test } = setup.data.map_or_else(Mnist::embedded, Mnist::load)?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.003)).clip_norm(1.0);
    let trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    Ok(Prepared::new(trainer, train, test, 3, 64))
}
