//! VGG-11 with batch normalization for CIFAR-10, its dense layers cut down to what 32 × 32 pixels need. Images are padded by 4,
//! cut to size anywhere and flipped; Adam.

use super::{Prepared, Setup, cifar10, compile};
use kiln::models::vgg::Vgg;
use kiln::prelude::*;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    let vgg = Vgg::new([1, 1, 2, 2, 2]).batch_norm(true).pooled(1).hidden(512).classes(10);
    vgg.model().push(Activation::Softmax).build([3, 32, 32], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    let Cifar10 { train, test } = cifar10(setup)?;
    let train = train.augment(Augmentation::new().random_crop(4).horizontal_flip())?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.001));
    let trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    Ok(Prepared::new(trainer, train, test, 30, 128))
}
