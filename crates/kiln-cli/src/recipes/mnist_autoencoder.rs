//! An autoencoder of MNIST's digits: dense layers of 128 and 64, a code of 32 numbers, and back; Adam; binary cross-entropy of each
//! pixel; twenty epochs.

use super::{Prepared, Setup, compile};
use crate::pictures::{COLUMNS, Given, Pictures};
use kiln::models;
use kiln::prelude::*;

/// Images that are drawn.
const SHOWN: usize = 5 * COLUMNS;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    models::autoencoder([28, 28], 32).build([28, 28], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    let Mnist { train, test } = setup.data.map_or_else(Mnist::embedded, Mnist::load)?;
    let mut shown: Vec<usize> = (0..test.len()).collect();
    RandomStream::new(setup.seed, Purpose::Data, 0).shuffle(&mut shown);
    shown.truncate(SHOWN);
    let shown = test.batch(&shown, &[], setup.device)?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.001));
    let trainer = compile(model, optimizer, BinaryCrossentropy::new());
    let pictures = Pictures { given: Given::Images(shown.inputs.into_first()), make: again };
    let prepared = Prepared::new(trainer, InputsAsTargets(train), InputsAsTargets(test), 20, 128);
    Ok(Prepared { pictures: Some(pictures), ..prepared })
}

/// The images as the model draws them again.
fn again(model: &Sequential, images: &Tensor) -> Result<Tensor> {
    model.forward(images, &Ctx::eval()).map(Var::into_tensor)
}
