//! A DCGAN for MNIST: a generator, which makes digits of 64 normal numbers, and a discriminator, which tells them from real ones;
//! both Adam with β₁ = 0.5; ten epochs.

use super::{Goal, Prepared, Setup};
use crate::pictures::{COLUMNS, Given, Pictures};
use kiln::models::dcgan::Dcgan;
use kiln::nn::AnyLayer;
use kiln::prelude::*;
use kiln::train::Prediction;

/// Numbers that a digit is made of.
const LATENT: usize = 64;
/// Digits that are drawn.
const SHOWN: usize = 10 * COLUMNS;

/// From noise to the logit of the digit that is made of it: the generator, then the discriminator.
pub(super) fn model(device: &Device, seed: u64) -> Result<Sequential> {
    let dcgan = Dcgan::new().side(28).channels(1).width(32).latent(LATENT);
    Sequential::new()
        .push_named("generator", dcgan.generator().push(Reshape::new([28, 28])))
        .push_named("discriminator", Sequential::new().push(Reshape::new([1, 28, 28])).push_named("layers", dcgan.discriminator()))
        .build([LATENT, 1, 1], device, seed)
}

pub(super) fn prepare(setup: &Setup<'_>) -> Result<Prepared> {
    let Mnist { train, test } = setup.data.map_or_else(Mnist::embedded, Mnist::load)?;
    // From −1 to 1, as the generator's images are.
    let (train, test) = (train.normalized(2.0 / 255.0, -1.0), test.normalized(2.0 / 255.0, -1.0));

    let adversaries = Adversaries { model: model(setup.device, setup.seed)? };
    // A step of Adam is one of each parameter by itself: one optimizer of both is the same as one of each.
    let optimizer = Adam::new(setup.learning_rate.unwrap_or(0.0005)).betas(0.5, 0.999);
    let trainer = Trainer::new(Box::new(adversaries) as _, Box::new(optimizer) as _);
    let pictures = Pictures { given: Given::Noise(noise(SHOWN, setup.device, setup.seed)?), make: digits };
    let prepared = Prepared::new(trainer, train, test, 10, 64);
    Ok(Prepared { pictures: Some(pictures), ..prepared })
}

fn noise(count: usize, device: &Device, seed: u64) -> Result<Tensor> {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Tensor::normal([count, LATENT, 1, 1], 0.0, 1.0, DType::F32, device, stream)
}

/// The images that the generator makes from noise, with values from 0 to 1.
fn digits(model: &Sequential, noise: &Tensor) -> Result<Tensor> {
    let generator = part(model, "generator")?;
    let ctx = Ctx::eval();
    ctx.layer("generator", generator, noise)?.var()?.into_tensor().affine(0.5, 0.5)
}

/// A generator and a discriminator that are trained against each other.
#[derive(Module)]
struct Adversaries {
    #[module(flatten)]
    model: Sequential,
}

fn part<'m>(model: &'m Sequential, name: &str) -> Result<&'m dyn AnyLayer> {
    let found = model.named_layers().find(|(segment, _)| segment.to_string() == name);
    found.map(|(_, layer)| layer as _).ok_or_else(|| Error::value("", format!("the model has no {name}")))
}

impl Objective for Adversaries {
    /// The discriminator's loss, on real digits and on made ones, and the generator's, which is small where the discriminator
    /// takes its digits for real ones.
    fn loss(&self, batch: &Batch, ctx: &Ctx) -> Result<Outcome> {
        let real: &Tensor = &batch.inputs;
        let (generator, discriminator) = (part(&self.model, "generator")?, part(&self.model, "discriminator")?);
        let noise = Tensor::normal(
            [batch.len(), LATENT, 1, 1],
            0.0,
            1.0,
            real.dtype(),
            real.device(),
            ctx.stream(Purpose::Data),
        )?;
        let made = ctx.layer("generator", generator, noise)?.var()?;
        let [yes, no] = [1.0, 0.0].map(|target| Tensor::full([batch.len(), 1], target, real.dtype(), real.device()));
        let (yes, no) = (yes?, no?);
        let loss = BinaryCrossentropy::from_logits();

        let judged = ctx.layer("discriminator", discriminator, real)?.var()?;
        let judged_made = ctx.layer("discriminator", discriminator, made.detach())?.var()?;
        let of_discriminator = loss.forward(&judged, &yes)?.add(&loss.forward(&judged_made, &no)?)?;

        // What the generator wants changes the generator alone: here the discriminator's parameters are constants.
        let constant = if ctx.is_training() { Ctx::train(0, 0).recording(false) } else { Ctx::eval() };
        let deceived = constant.run(discriminator, &made)?.var()?;
        let of_generator = loss.forward(&deceived, &yes)?;

        let prediction = |name: &str, values: Var, loss: &Var| Prediction {
            output: name.to_owned(),
            loss: Some(loss.detach()),
            ..Prediction::from(values)
        };
        let predictions = vec![
            prediction("discriminator", judged.detach(), &of_discriminator),
            prediction("generator", deceived.detach(), &of_generator),
        ];
        Ok(Outcome { loss: of_discriminator.add(&of_generator)?, predictions, mask: None })
    }

    fn outputs(&self) -> Vec<String> {
        ["discriminator", "generator"].map(str::to_owned).to_vec()
    }
}

impl Goal for Adversaries {
    fn model(&self) -> &Sequential {
        &self.model
    }
    fn model_mut(&mut self) -> &mut Sequential {
        &mut self.model
    }
    /// Digits, of the shape that the generator gives.
    fn takes(&self) -> Option<&Shape> {
        self.model.output_shapes().first()?.one().ok()
    }
}
