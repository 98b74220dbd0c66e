//! A generator and a discriminator that are trained against each other (Goodfellow et al. 2014).

use crate::goal::Goal;
use kiln::nn::{AnyLayer, TrainingMemory};
use kiln::prelude::*;
use kiln::profile;
use kiln::train::Prediction;

/// What some images are made of.
pub(crate) fn noise(count: usize, latent: usize, device: &Device, seed: u64) -> Result<Tensor> {
    let stream = RandomStream::new(seed, Purpose::Data, 0);
    Tensor::normal([count, latent, 1, 1], 0.0, 1.0, DType::F32, device, stream)
}

/// The images that the generator makes from noise, with values from 0 to 1.
pub(crate) fn digits(model: &Sequential, noise: &Tensor) -> Result<Tensor> {
    let generator = part(model, "generator")?;
    let ctx = Ctx::eval();
    ctx.layer("generator", generator, noise)?.var()?.into_tensor().affine(0.5, 0.5)
}

/// A generator and a discriminator that are trained against each other.
#[derive(Module)]
pub(crate) struct Adversaries {
    #[module(flatten)]
    pub(crate) model: Sequential,
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
        let latent = self.model.input_shape().map_or(0, |shape| shape.elements());
        let noise = Tensor::normal(
            [batch.len(), latent, 1, 1],
            0.0,
            1.0,
            real.dtype(),
            real.device(),
            ctx.stream(Purpose::Data),
        )?;
        let made = ctx.layer("generator", generator, noise)?.var()?;
        let [yes, no] = [1.0, 0.0].map(|target| Tensor::full([batch.len(), 1], target, real.dtype(), real.device()));
        let (yes, no) = (yes?, no?);
        let loss = |judged: &Var, target: &Tensor| {
            let _loss = profile::enter(ctx.phase(), "loss");
            BinaryCrossentropy::from_logits().forward(judged, target)
        };

        // Losses are f32 in mixed precision too.
        let judged = ctx.layer("discriminator", discriminator, real)?.var()?.to_dtype(real.dtype())?;
        let judged_made = ctx.layer("discriminator", discriminator, made.detach())?.var()?.to_dtype(real.dtype())?;
        let of_discriminator = loss(&judged, &yes)?.add(&loss(&judged_made, &no)?)?;

        // What the generator wants changes the generator alone: here the discriminator's parameters are constants.
        let constant = if ctx.is_training() { Ctx::train(0, 0).recording(false) } else { Ctx::eval() };
        let constant = match ctx.mode().compute {
            Some(dtype) => constant.compute(dtype),
            None => constant,
        };
        let deceived = constant.run(discriminator, &made)?.var()?;
        let of_generator = loss(&deceived, &yes)?;

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
    /// Of all passes of a step: the discriminator sees real digits and made ones.
    fn training_memory(&self, batch_size: usize) -> Result<TrainingMemory> {
        let one = self.model.training_memory(batch_size)?;
        let (Some(shape), Some((_, first))) = (self.takes(), self.model.parameters().into_iter().next()) else {
            return Ok(one);
        };
        let device = first.value().device();
        let real = Tensor::zeros(&[&[batch_size], &shape[..]].concat()[..], DType::F32, device)?;
        let (batch, before) = (Batch::new(real.clone(), real), device.memory().live);
        let outcome = self.loss(&batch, &Ctx::train(0, 0))?;
        let activations = device.memory().live - before;
        drop(outcome);
        Ok(TrainingMemory { activations, ..one })
    }
    /// Digits, of the shape that the generator gives.
    fn takes(&self) -> Option<&Shape> {
        self.model.output_shapes().first()?.one().ok()
    }
}
