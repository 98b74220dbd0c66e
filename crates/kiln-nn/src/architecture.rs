//! Models as JSON and back: layers by name, each with its settings.

use crate::layers::Layers;
use crate::*;
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

/// `{"layers": [{"layer": "Dense", "units": 10, …}, …]}`.
pub(crate) fn of_layers(model: &Sequential) -> Map<String, Json> {
    Map::from_iter([("layers".to_owned(), list(model.list()))])
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
    struct OfTimeDistributed {
        inner: Json,
    }
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
        "SkipConcat" => Box::new(SkipConcat::new(model(&description["main"], init)?)),
        "TimeDistributed" => {
            let OfTimeDistributed { inner } = settings(index, name, description)?;
            Box::new(TimeDistributed::of(init.scope("layer", |init| layer(index, &inner, init))?))
        }
        "Sequential" => Box::new(model(description, init)?),
        "Graph" => Box::new(Graph::read(description, init)?),
        "Lambda" => return Err(malformed(unsaved(index))),
        _ => return Err(malformed(format!("layer {index} is a {name}, which Kiln does not make from a description"))),
    })
}

fn unsaved(index: usize) -> String {
    format!(
        "layer {index} is a Lambda, whose function no file can hold: make the model in code and load its weights, or write the \
         function as a layer of its own, made known with `Init::register`"
    )
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
