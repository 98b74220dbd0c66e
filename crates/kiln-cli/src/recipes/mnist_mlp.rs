//! The classic listing: Flatten, Dense 128 ReLU, Dense 10 softmax; Adam; sparse categorical cross-entropy; ten epochs.

use super::{Prepared, Setup, compile};
use kiln::prelude::*;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    // Bytes, handed out as numbers from 0 to 1.
    let Mnist { train, test } = setup.data.map_or_else(Mnist::embedded, Mnist::load)?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.001));
    let trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    Ok(Prepared::new(trainer, train, test, 10, 32))
}
