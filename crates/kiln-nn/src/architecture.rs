//! Models as JSON and back: layers by name, each with its settings.

use crate::layers::{Layers, Lookups};
use crate::*;
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

/// `{"layers": [{"layer": "Dense", "units": 10, …}, …]}`, and `"checkpoint_every": 8` where that is set.
pub(crate) fn of_layers(model: &Sequential) -> Map<String, Json> {
    let mut description = Map::from_iter([("layers".to_owned(), list(model.list()))]);
    if let Some(every) = model.checkpoints() {
        description.insert("checkpoint_every".to_owned(), every.into());
    }
    write_lookups(&model.lookups, &mut description);
    description
}

/// Adds the lookups of a model to its description, where it has any: `{"lookups": {"color": {"vocabulary": ["red"], …}}}`.
pub(crate) fn write_lookups(lookups: &Lookups, description: &mut Map<String, Json>) {
    if let (false, Some(lookups)) = (lookups.0.is_empty(), settings(lookups)) {
        description.insert("lookups".to_owned(), lookups);
    }
}

/// The lookups of a description.
pub(crate) fn lookups(description: &Json) -> Result<Lookups> {
    match description.get("lookups") {
        Some(lookups) => Lookups::deserialize(lookups).map_err(|error| malformed(format!("`lookups`: {error}"))),
        None => Ok(Lookups::default()),
    }
}

/// Each layer with its settings and, where it has one, its name. Of a layer without a config, the type alone.
pub(crate) fn list(layers: &Layers) -> Json {
    let described = layers.iter().zip(layers.names()).map(|((_, layer), name)| {
        let mut object = match layer.config() {
            Some(Json::Object(settings)) => settings,
            _ => Map::new(),
        };
        object.entry("layer").or_insert_with(|| layer.name().into());
        if let Some(name) = name {
            object.insert("name".to_owned(), name.into());
        }
        Json::Object(object)
    });
    Json::Array(described.collect())
}

/// The model of such an object; built where it says for which input.
pub(crate) fn model(object: &Json, init: &mut Init) -> Result<Sequential> {
    let mut model = Sequential::of(listed("layers", object, init)?);
    model.lookups = lookups(object)?;
    if let Some(every) = object.get("checkpoint_every") {
        let every = every.as_u64().and_then(|every| usize::try_from(every).ok());
        let expected = || malformed("`checkpoint_every`, a number of layers, is expected".to_owned());
        model = model.checkpoint_every(every.ok_or_else(expected)?);
    }
    if let Some(input) = object.get("input") {
        // A model that was built for this shape: whatever it looks like, it has the channels first.
        Layer::build(&mut model, &shapes(input)?, init)?;
    }
    Ok(model)
}

/// The layers of a list in an object.
pub(crate) fn listed(key: &str, object: &Json, init: &mut Init) -> Result<Layers> {
    let Some(descriptions) = object.get(key).and_then(Json::as_array) else {
        return Err(malformed(format!("`{key}`, a list, is expected")));
    };
    let mut layers = Layers::default();
    for (index, description) in descriptions.iter().enumerate() {
        let layer = init.scope(index, |init| layer(index, description, init))?;
        let name = match description.get("name") {
            None => None,
            Some(Json::String(name)) => Some(name.clone()),
            Some(other) => return Err(malformed(format!("layer {index}: `name`, a text, is expected, got {other}"))),
        };
        layers.add(name, layer);
    }
    Ok(layers)
}

/// `[28,28]`, or a list of such.
pub(crate) fn shapes(input: &Json) -> Result<Shapes> {
    let expected = || malformed(format!("`input`, the sizes of a sample's axes, is expected, got {input}"));
    let axes = input.as_array().ok_or_else(expected)?;
    if !axes.is_empty() && axes.iter().all(Json::is_array) {
        return axes.iter().map(shapes).collect::<Result<_>>().map(Shapes::Many);
    }
    let sizes = axes.iter().map(|axis| axis.as_u64().and_then(|size| usize::try_from(size).ok()));
    Shape::new(&sizes.collect::<Option<Vec<_>>>().ok_or_else(expected)?).map(Shapes::One)
}

/// The name that a layer has now: files written before it was renamed hold the old one.
fn present_name(name: &str) -> &str {
    match name {
        "RMSNorm" => "RmsNorm",
        "UpSample1d" => "Upsample1d",
        "UpSample2d" => "Upsample2d",
        other => other,
    }
}

/// A layer of its own name. Those that need to know their sizes at once take first weights from `init`.
fn layer(index: usize, description: &Json, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    #[derive(Deserialize)]
    struct OfLinear {
        inputs: usize,
        outputs: usize,
        bias: bool,
    }
    let Some(name) = description.get("layer").and_then(Json::as_str).map(present_name) else {
        return Err(malformed(format!("layer {index}: `layer`, its name, is expected")));
    };
    fn settings<S: DeserializeOwned>(index: usize, name: &str, description: &Json) -> Result<S> {
        S::deserialize(description).map_err(|error| malformed(format!("layer {index} ({name}): {error}")))
    }
    if let Some(made) = init.known(name) {
        return made(description).map_err(|error| malformed(format!("layer {index} ({name}): {error}")));
    }
    if let Some(made) = layers::of_settings(name, description) {
        return made.map_err(|error| malformed(format!("layer {index} ({name}): {error}")));
    }
    Ok(match name {
        "Activation" => Box::new(settings::<OfActivation>(index, name, description)?.activation),
        "Concat" => Box::new(Concat::of(listed("branches", description, init)?)),
        "Flatten" => Box::new(Flatten::new()),
        "Linear" => match settings(index, name, description)? {
            OfLinear { inputs, outputs, bias: true } => Box::new(Linear::new(inputs, outputs, init)?),
            OfLinear { inputs, outputs, bias: false } => Box::new(Linear::without_bias(inputs, outputs, init)?),
        },
        "Residual" => Box::new(residual(description, &settings::<OfActivation>(index, name, description)?, init)?),
        "SpectralNorm" => spectral_norm(inner(index, description, init)?, settings(index, name, description)?),
        "TimeDistributed" => {
            Box::new(TimeDistributed::of(init.scope("layer", |init| inner(index, description, init))?))
        }
        "WeightNorm" => weight_norm(inner(index, description, init)?, settings(index, name, description)?),
        "Sequential" => Box::new(model(description, init)?),
        "Graph" => Box::new(Graph::read(description, init)?),
        _ => return Err(malformed(format!("layer {index} is a {name}, which Kiln does not make from a description"))),
    })
}

/// The layer that another one wraps.
fn inner(index: usize, description: &Json, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    match description.get("inner") {
        Some(inner) => layer(index, inner, init),
        None => Err(malformed(format!("layer {index}: `inner`, the layer within, is expected"))),
    }
}

#[derive(Deserialize)]
struct OfWeightNorm {
    parameter: String,
    dim: Option<usize>,
}

fn weight_norm(inner: Box<dyn AnyLayer>, of: OfWeightNorm) -> Box<dyn AnyLayer> {
    Box::new(WeightNorm::of(inner).parameter(of.parameter).dim(of.dim))
}

#[derive(Deserialize)]
struct OfSpectralNorm {
    parameter: String,
    dim: Option<usize>,
    power_iterations: usize,
    epsilon: f64,
}

fn spectral_norm(inner: Box<dyn AnyLayer>, of: OfSpectralNorm) -> Box<dyn AnyLayer> {
    let layer = SpectralNorm::of(inner).parameter(of.parameter);
    let layer = layer.power_iterations(of.power_iterations).epsilon(of.epsilon);
    Box::new(match of.dim {
        Some(dim) => layer.dim(dim),
        None => layer,
    })
}

#[derive(Deserialize)]
struct OfActivation {
    activation: Activation,
}

fn residual(description: &Json, of: &OfActivation, init: &mut Init) -> Result<Residual> {
    let block = Residual::new(model(&description["main"], init)?).activation(of.activation);
    match description.get("shortcut") {
        None => Ok(block),
        Some(shortcut) => Ok(block.shortcut(init.scope("downsample", |init| model(shortcut, init))?)),
    }
}

pub(crate) fn malformed(message: String) -> Error {
    Error::new(ErrorKind::Format, "architecture", message)
}
