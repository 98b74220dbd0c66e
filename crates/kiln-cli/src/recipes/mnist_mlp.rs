//! The classic listing: `Flatten, Dense 128 ReLU, Dense 10 softmax`, Adam, sparse categorical cross-entropy, ten epochs.

use super::Prepared;
use kiln::Result;
use kiln::prelude::*;
use std::path::Path;

pub(super) fn prepare(data: &Path, device: &Device, seed: u64) -> Result<Prepared> {
    let Mnist { train, test } = Mnist::load(data)?;
    let model = Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], device, seed)?;
    Ok(Prepared { model, train, test, epochs: 10, batch_size: 32, learning_rate: 0.001 })
}
