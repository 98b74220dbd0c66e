//! A small convolutional network for MNIST, of LeNet's form: two convolutions of 5 × 5 with batch normalization, ReLU and maxima of
//! 2 × 2, a dense layer with dropout, softmax; Adam; sparse categorical cross-entropy; three epochs.

use super::{Prepared, Setup, compile};
use kiln::prelude::*;

pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    Sequential::new()
        .push(Reshape::new([1, 28, 28]))
        .push(Conv2d::new(32, 5).use_bias(false))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push(MaxPool2d::new(2))
        .push(Conv2d::new(64, 5).use_bias(false))
        .push(BatchNorm2d::new().activation(Activation::Relu))
        .push(MaxPool2d::new(2))
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dropout::new(0.2))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    let Mnist { train, test } = setup.data.map_or_else(Mnist::embedded, Mnist::load)?;

    let model = model(setup.device, setup.seed)?;
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.001));
    let trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    Ok(Prepared::new(trainer, train, test, 3, 64))
}
