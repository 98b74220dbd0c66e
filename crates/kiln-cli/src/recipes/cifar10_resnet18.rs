//! ResNet-18 for CIFAR-10, in the form for small images: images padded by 4, cut to size anywhere, flipped, with a square cut out;
//! label smoothing; SGD with Nesterov's momentum and weight decay along one cycle; 50 epochs.

use super::{Prepared, Setup, cifar10, compile};
use kiln::models::resnet::ResNet;
use kiln::prelude::*;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    let resnet = ResNet::basic([2, 2, 2, 2]).small_images(true).classes(10);
    resnet.model().push(Activation::Softmax).build([3, 32, 32], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    let Cifar10 { train, test } = cifar10(setup)?;
    let train = train.augment(Augmentation::new().random_crop(4).horizontal_flip().cutout(8))?;

    let model = model(setup.device, setup.seed)?;
    let optimizer =
        Sgd::new(setup.learning_rate.unwrap_or(0.1)).momentum(0.9).nesterov(true).weight_decay(5e-4);
    let loss = SparseCategoricalCrossentropy::new().label_smoothing(0.1);
    let trainer = compile(model, optimizer.no_decay_on_biases_and_norms(), loss).metric(Accuracy);
    let prepared = Prepared::new(trainer, train, test, 50, 128);
    Ok(Prepared { schedule: Some(|steps| Box::new(OneCycle::new(steps))), ..prepared })
}
