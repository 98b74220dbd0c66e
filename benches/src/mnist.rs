//! The MNIST listing by `fit`, and the same by hand.

use crate::timing::seconds;
use kiln::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

/// The listing: Flatten, Dense 128 ReLU, Dense 10 softmax.
pub(crate) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    Sequential::new()
        .push(Flatten::new())
        .push(Dense::new(128).activation(Activation::Relu))
        .push(Dense::new(10).activation(Activation::Softmax))
        .build([28, 28], device, seed)
}

/// Seconds and final accuracy of training with `fit`.
pub(crate) fn by_fit(data: &Mnist, device: &Device, epochs: usize, seed: u64) -> Result<(f64, f64)> {
    let loss = SparseCategoricalCrossentropy::new();
    let mut trainer = compile(model(device, seed)?, Adam::new(0.001), loss).metric(Accuracy);
    let options = FitOptions::new().epochs(epochs).seed(seed).validation(&data.test).quiet();
    let history = trainer.fit(&data.train, options)?;
    let last = history.last().and_then(|epoch| epoch.validation.as_ref());
    Ok((history.seconds, last.map_or(f64::NAN, |v| v.accuracy())))
}

/// What a loop sums over an epoch, as `fit` does: loss, right answers, samples.
#[derive(Default)]
struct Sums {
    loss: f64,
    right: f64,
    samples: usize,
}

impl Sums {
    fn add(&mut self, loss: &Var, predictions: &Var, batch: &Batch) -> Result<()> {
        self.samples += batch.len();
        self.loss += loss.item()? * batch.len() as f64;
        self.right += Accuracy.measure(predictions.tensor(), &batch.targets, None)?.sum.item()?;
        Ok(())
    }
}

/// The same training by a loop over Vars, with the same reports: seconds and final accuracy.
pub(crate) fn by_hand(data: &Mnist, device: &Device, epochs: usize, seed: u64) -> Result<(f64, f64)> {
    let mut model = model(device, seed)?;
    let mut optimizer = Adam::new(0.001);
    let loss_of = SparseCategoricalCrossentropy::new();
    let loader = Loader::new(&data.train).device(device).shuffle(seed);
    let (mut step, mut accuracy) = (0, f64::NAN);
    let time = kiln::tensor::Device::cpu().session(|| {
        seconds(|| {
            for epoch in 1..=epochs {
                let mut sums = Sums::default();
                loader.epoch(epoch as u64, |batches| {
                    for batch in batches {
                        let batch = batch?;
                        let ctx = Ctx::train(seed, step);
                        let predictions = model.forward(&batch.inputs, &ctx)?;
                        let loss = loss_of.forward(&predictions, &batch.targets)?;
                        sums.add(&loss, &predictions, &batch)?;
                        drop(predictions);
                        let gradients = loss.backward()?;
                        optimizer.step(&mut model, &gradients)?;
                        ctx.commit(&mut model)?;
                        step += 1;
                    }
                    Ok(())
                })?;
                let mut sums = Sums::default();
                Loader::new(&data.test).batch_size(512).device(device).epoch(0, |batches| {
                    for batch in batches {
                        let batch = batch?;
                        let predictions = model.forward(&batch.inputs, &Ctx::eval())?;
                        sums.add(&loss_of.forward(&predictions, &batch.targets)?, &predictions, &batch)?;
                    }
                    Ok(())
                })?;
                accuracy = sums.right / sums.samples as f64;
            }
            Ok(())
        })
    })?;
    Ok((time, accuracy))
}

pub(crate) fn fit(data: &Path, device: &Device, epochs: usize, seed: u64) -> Result<Value> {
    let (time, accuracy) = by_fit(&Mnist::load(data)?, device, epochs, seed)?;
    Ok(json!({"task": "mnist-mlp", "epochs": epochs, "seed": seed, "fit_s": time, "test_accuracy": accuracy}))
}
