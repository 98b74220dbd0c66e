//! AlexNet for CIFAR-10, as a listing for Keras has it: five convolutions and three dense layers, each with batch normalization;
//! images turned, moved, sheared, zoomed and flipped at random; Adam; 50 epochs of batches of 64.
//!
//! As it is printed, the listing cannot be built: its last pooling window meets a map of 1 × 1. Here the windows are padded.

use super::{Prepared, Setup, cifar10, compile};
use kiln::models;
use kiln::prelude::*;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    models::alexnet_cifar(10).push(Activation::Softmax).build([3, 32, 32], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    let Cifar10 { train, test } = cifar10(setup)?;
    let augmentation =
        Augmentation::new().rotation(20.0).width_shift(0.2).height_shift(0.2).shear(0.2).zoom(0.2).horizontal_flip();
    let train = train.augment(augmentation)?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.001));
    let trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    Ok(Prepared::new(trainer, train, test, 50, 64))
}
