//! The model of a settings file: layers as model.json has them, or one of the known models.

use super::choice::{choose, set};
use super::graph;
use super::node::{Node, Value};
use super::section::{Named, Section, plain};
use kiln::ErrorKind;
use kiln::models::{self, dcgan::Dcgan, resnet::ResNet, vgg::Vgg, vit::Vit};
use kiln::nn::{Adapt, Describe, StateDict};
use kiln::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

/// Numbers that an image of a DCGAN is made of, where `latent` is not said.
pub(super) const LATENT: usize = 64;

/// The model for such samples, with first weights by the seed. A preprocessing layer at its beginning is adapted to them.
pub(super) fn model(root: &Section<'_>, data: &dyn Dataset, device: &Device, seed: u64) -> Result<Sequential> {
    if root.section("model")?.has("layers") {
        let settings = root.section("model")?;
        let model = of_layers(&settings, data, device, seed)?;
        settings.done()?;
        return Ok(model);
    }
    let Some(named) = root.named("model")? else {
        return Err(root.missing("model", "a table with `layers`, or with the `name` of a known model"));
    };
    let model = known(&named, data.input_shape())?.build_for(&named, data.input_shape(), device, seed)?;
    named.settings.done()?;
    Ok(model)
}

/// Whether a layer of the settings is adapted to the data before the training.
pub(super) fn learns(root: &Section<'_>) -> Result<bool> {
    let model = root.section("model")?;
    let Some(layers) = model.node("layers").map(Node::to_json) else { return Ok(false) };
    let adapted = ["Normalization", "Discretization", "IntegerLookup"];
    let is_adapted =
        |layer: &Json| layer.get("layer").and_then(Json::as_str).is_some_and(|name| adapted.contains(&name));
    Ok(layers.as_array().is_some_and(|layers| layers.iter().any(is_adapted)))
}

fn of_layers(settings: &Section<'_>, data: &dyn Dataset, device: &Device, seed: u64) -> Result<Sequential> {
    let Some(node) = settings.node("layers") else { return Err(settings.missing("layers", "a list of layers")) };
    let mut init = Init::new(seed, device);
    if settings.has("inputs") {
        let description = graph::description(settings, &data.input_shapes())?;
        return Sequential::from_architecture_with(&description, &mut init).map_err(|error| placed(node, &error));
    }
    let mut layers = node.to_json();
    let learned =
        layers.get_mut(0).map(|first| learn(0, first, data)).transpose().map_err(|error| placed(node, &error))?;
    // Predictions are brought back to the mean and variance of the targets.
    let last = layers.as_array().map_or(0, Vec::len).saturating_sub(1);
    let scaled = layers.get_mut(last).filter(|layer| last > 0 && layer.get("invert") == Some(&Json::Bool(true)));
    let scaled =
        scaled.map(|layer| learn(last, layer, &Targets(data))).transpose().map_err(|error| placed(node, &error))?;
    let description = json!({ "input": data.input_shape(), "layers": layers });
    let mut model =
        Sequential::from_architecture_with(&description, &mut init).map_err(|error| placed(node, &error))?;
    for (at, learned) in [(0, learned), (last, scaled)] {
        if let Some(learned) = learned.flatten() {
            let state = learned.into_iter().map(|(name, value)| (format!("{at}.{name}"), value)).collect();
            model.load_state_dict(&state, false)?;
        }
    }
    Ok(model)
}

/// Targets in the place of inputs.
struct Targets<'d>(&'d dyn Dataset);

impl Dataset for Targets<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn input_shape(&self) -> &[usize] {
        &[]
    }
    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        let targets = self.0.batch(indices, upcoming, device)?.targets;
        Ok(Batch::new(targets.clone(), targets))
    }
}

/// Adapts a preprocessing layer to the data: its description becomes that of the adapted layer, and its buffers are given back.
fn learn(at: usize, layer: &mut Json, data: &dyn Dataset) -> Result<Option<StateDict>> {
    fn adapted<A: Adapt + Describe + DeserializeOwned>(
        at: usize,
        layer: &mut Json,
        data: &dyn Dataset,
    ) -> Result<Option<StateDict>> {
        let malformed = |error| Error::new(ErrorKind::Format, "", format!("layer {at}: {error}"));
        let mut made: A = serde_json::from_value(layer.clone()).map_err(malformed)?;
        adapt(&mut made, data)?;
        if let (Some(Json::Object(config)), Some(described)) = (made.config(), layer.as_object_mut()) {
            described.extend(config);
        }
        Ok(Some(made.state_dict()))
    }
    match layer.get("layer").and_then(Json::as_str) {
        // Mean and variance may be known: `shape` is theirs.
        Some("Normalization") if layer.get("shape").is_none() => adapted::<Normalization>(at, layer, data),
        Some("Discretization") if layer.get("boundaries").is_none() => adapted::<Discretization>(at, layer, data),
        Some("IntegerLookup") if layer.get("vocabulary").is_none() => adapted::<IntegerLookup>(at, layer, data),
        _ => Ok(None),
    }
}

/// An error of a layer, with the layer's place in the file: `layer 2 (Dense): …`, or below the path `model.2 (Dense)`.
fn placed(layers: &Node, error: &Error) -> Error {
    let (path, message) = (error.path(), error.message());
    let whole = if path.is_empty() { format!("model: {message}") } else { format!("{path}: {message}") };
    let list = match &layers.value {
        Value::List(list) => list.as_slice(),
        _ => &[],
    };
    // A step of the path is the layer's name or number.
    let numbered = |step: &str| {
        let digits: String = step.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok().and_then(|at| list.get(at))
    };
    let named = |step: &str| {
        let name = step.split(' ').next().unwrap_or_default();
        list.iter().find(|layer| layer.entry("name").is_some_and(|entry| entry.node.to_text() == name))
    };
    let of_path = || path.split('.').skip(1).find_map(|step| named(step).or_else(|| numbered(step)));
    let layer = message.strip_prefix("layer ").and_then(numbered).or_else(of_path);
    // Where it is about one setting of the layer, that setting's place.
    let setting = message.split('`').nth(1);
    let entry = layer.zip(setting).and_then(|(layer, setting)| layer.entry(setting));
    let place = entry.map(|entry| &entry.place).unwrap_or(&layer.unwrap_or(layers).place);
    Error::new(error.kind(), "", format!("{place}: {whole}"))
}

/// A known model.
struct Known(Sequential);

impl Known {
    fn build_for(self, named: &Named<'_>, input: &[usize], device: &Device, seed: u64) -> Result<Sequential> {
        let input = match plain(named.name) == "dcgan" {
            true => vec![named.settings.or("latent", LATENT)?, 1, 1],
            false => input.to_vec(),
        };
        let mut model = self.0;
        if let Some(activation) = named.settings.node("activation") {
            let activation: Activation = serde_json::from_value(activation.to_json())
                .map_err(|error| named.settings.wrong("activation", &error.to_string()))?;
            model = model.push(activation);
        }
        model.build(input, device, seed).map_err(|error| named.settings.at(&error))
    }
}

fn known(named: &Named<'_>, input: &[usize]) -> Result<Known> {
    Ok(Known(choose!(named, "model", s;
        alexnet => models::alexnet(s.need("classes")?),
        alexnet_cifar => models::alexnet_cifar(s.need("classes")?),
        autoencoder => models::autoencoder(input, s.need("code")?),
        dcgan => adversaries(s.or("latent", LATENT)?, s.or("width", 32)?, input)?,
        lenet5 => models::lenet5(s.need("classes")?),
        mobilenet_v2 => models::mobilenet_v2(s.need("classes")?),
        resnet18 => resnet([2, 2, 2, 2], s)?,
        resnet34 => resnet([3, 4, 6, 3], s)?,
        resnet20 => models::resnet20(s.need("classes")?),
        vit => vit(s, input)?,
        vgg11 => {
            let vgg = Vgg::new([1, 1, 2, 2, 2]).batch_norm(s.or("batch_norm", false)?).classes(s.need("classes")?);
            let vgg = match s.get("pooled")? {
                Some(side) => vgg.pooled(side),
                None => vgg,
            };
            match s.get("hidden")? {
                Some(units) => vgg.hidden(units),
                None => vgg,
            }
            .model()
        },
    )))
}

fn resnet(stages: [usize; 4], settings: &Section<'_>) -> Result<Sequential> {
    let small = settings.or("small_images", false)?;
    Ok(ResNet::basic(stages).small_images(small).classes(settings.need("classes")?).model())
}

/// A vision transformer, by default of the size of `vit_cifar`, for images of this shape.
fn vit(settings: &Section<'_>, input: &[usize]) -> Result<Sequential> {
    let &[channels, side, _] = input else {
        let message = format!("vit takes images of (channels, height, width), not samples of {input:?}");
        return Err(Error::new(ErrorKind::Shape, "", message));
    };
    let vit = set!(settings, Vit::cifar().image(side).channels(channels);
        patch width layers heads hidden dropout);
    Ok(vit.classes(settings.need("classes")?).model())
}

/// From noise to the logit of the image that is made of it: the generator, then the discriminator.
fn adversaries(latent: usize, width: usize, input: &[usize]) -> Result<Sequential> {
    let &[height, side] = input else {
        let message = format!("dcgan makes images of (height, width), not samples of {input:?}");
        return Err(Error::new(ErrorKind::Shape, "", message));
    };
    let dcgan = Dcgan::new().side(side).channels(1).width(width).latent(latent);
    let judge = Sequential::new().push(Reshape::new([1, height, side])).push_named("layers", dcgan.discriminator());
    Ok(Sequential::new()
        .push_named("generator", dcgan.generator().push(Reshape::new([height, side])))
        .push_named("discriminator", judge))
}
