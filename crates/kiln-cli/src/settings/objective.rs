//! What a settings file trains its model for.

use super::loss;
use super::section::{Section, plain};
use crate::gan::{Adversaries, digits, noise};
use crate::goal::Goal;
use crate::pictures::{COLUMNS, Given, Pictures};
use kiln::prelude::*;
use kiln::train::Supervised;

/// Images that are drawn of a model that makes images.
const SHOWN: usize = 5 * COLUMNS;

/// Whether the settings' model is a generator with a discriminator.
pub(super) fn is_gan(root: &Section<'_>) -> Result<bool> {
    let model = root.section("model")?;
    Ok(model.get::<String>("name")?.is_some_and(|name| plain(&name) == "dcgan"))
}

/// The objective, and whether the model gives logits of classes; `classes` says whether the targets are classes.
pub(super) fn goal(root: &Section<'_>, model: Sequential, classes: bool) -> Result<(Box<dyn Goal>, bool)> {
    if is_gan(root)? {
        return Ok((Box::new(Adversaries { model }), false));
    }
    let default = if classes { "SparseCategoricalCrossentropy" } else { "MeanSquaredError" };
    let named = root.named_or("loss", default)?;
    let (loss, logits) = (loss::loss(&named)?, named.settings.or("from_logits", false)?);
    Ok((Box::new(Supervised { model, loss }), logits))
}

/// Whether the samples are their own targets.
fn is_autoencoder(root: &Section<'_>) -> Result<bool> {
    let data = root.section("data")?;
    // Of a user's own data `target` names a column.
    Ok(!data.has("kind") && data.get::<String>("target")?.is_some_and(|target| target == "input"))
}

/// Whether the model makes images.
pub(super) fn makes_images(root: &Section<'_>) -> Result<bool> {
    Ok(is_gan(root)? || is_autoencoder(root)?)
}

/// What is drawn of a model that makes images.
pub(super) fn pictures(root: &Section<'_>, test: &dyn Dataset, device: &Device, seed: u64) -> Result<Option<Pictures>> {
    if is_gan(root)? {
        let latent = root.section("model")?.or("latent", super::model::LATENT)?;
        let given = Given::Noise(noise(2 * SHOWN, latent, device, seed)?);
        return Ok(Some(Pictures { given, make: digits }));
    }
    if !is_autoencoder(root)? || test.input_shape().len() != 2 {
        return Ok(None);
    }
    let mut shown: Vec<usize> = (0..test.len()).collect();
    RandomStream::new(seed, Purpose::Data, 0).shuffle(&mut shown);
    shown.truncate(SHOWN);
    let shown = test.batch(&shown, &[], device)?;
    Ok(Some(Pictures { given: Given::Images(shown.inputs.into_first()), make: again }))
}

/// The images as the model draws them again.
fn again(model: &Sequential, images: &Tensor) -> Result<Tensor> {
    model.forward(images, &Ctx::eval()).map(Var::into_tensor)
}
