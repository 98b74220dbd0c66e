//! Models as JSON and back: layers by name, each with its settings.

mod composed;
mod template;

pub(crate) use template::{Readable, Required};

use crate::layers::{Layers, Lookups};
use crate::*;
use composed::{Given, KINDS};
use kiln_tensor::{Error, ErrorKind, Result, Shape, nearest};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;

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
    let Some(lookups) = description.get("lookups") else { return Ok(Lookups::default()) };
    for (name, lookup) in lookups.as_object().into_iter().flatten() {
        let checked = composed::lookup().complete(lookup);
        checked.map_err(|message| malformed(format!("lookup `{name}`: {message}")))?;
    }
    Lookups::deserialize(lookups).map_err(|error| malformed(format!("`lookups`: {error}")))
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

/// The model of an object, which errors call `what`; built where it says for which input.
pub(crate) fn model(what: &str, object: &Json, init: &mut Init) -> Result<Sequential> {
    check(what, "Sequential", object)?;
    read_model(object, init)
}

/// Fails where the description of a container of this type lacks something, or has settings that are unknown.
pub(crate) fn check(what: &str, container: &str, object: &Json) -> Result<()> {
    let template = composed::kind(container).map(|kind| (kind.template)());
    let checked = template.map_or(Ok(()), |template| template.complete(object).map(drop));
    checked.map_err(|message| malformed(format!("{what}: {message}")))
}

fn read_model(object: &Json, init: &mut Init) -> Result<Sequential> {
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

/// The settings as they are written now: separable convolutions were once written as the two that they are made of.
fn present_settings<'d>(name: &str, description: &'d Json) -> Cow<'d, Json> {
    let part = |key: &str| description.get(key).and_then(Json::as_object);
    let (true, Some(depthwise), Some(pointwise)) =
        (name.starts_with("SeparableConv"), part("depthwise"), part("pointwise"))
    else {
        return Cow::Borrowed(description);
    };
    let mut settings = pointwise.clone();
    settings.remove("groups");
    for key in ["kernel", "stride", "dilation", "padding", "multiplier"] {
        settings.extend(depthwise.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    Cow::Owned(Json::Object(settings))
}

/// A layer of its own name. Those that need to know their sizes at once take first weights from `init`.
fn layer(index: usize, description: &Json, init: &mut Init) -> Result<Box<dyn AnyLayer>> {
    let Some(name) = description.get("layer").and_then(Json::as_str).map(present_name) else {
        return Err(malformed(format!("layer {index}: `layer`, its name, is expected")));
    };
    let wrong = |message: String| malformed(format!("layer {index} ({name}): {message}"));
    if let Some(made) = init.known(name) {
        return made(description).map_err(|error| wrong(error.to_string()));
    }
    if let Some(readable) = layers::readable(name) {
        return readable.layer(&present_settings(name, description)).map_err(wrong);
    }
    let Some(kind) = composed::kind(name) else { return Err(malformed(unknown(index, name, init))) };
    let settings = (kind.template)().complete(description).map_err(wrong)?;
    (kind.make)(&Given { index, name, settings: &settings }, init)
}

fn unknown(index: usize, name: &str, init: &Init) -> String {
    if name == "Lambda" {
        return format!(
            "layer {index} is a Lambda, whose function no file can hold: make the model in code and load its weights, or write \
             the function as a layer of its own, made known with `Init::register`"
        );
    }
    let names = layers::DESCRIBED.iter().copied().chain(KINDS.iter().map(|kind| kind.name)).chain(init.known_names());
    match nearest(name, names) {
        Some(nearest) => format!("layer {index}: unknown layer `{name}`; the nearest is `{nearest}`"),
        None => format!("layer {index}: unknown layer `{name}`; one of your own is made known with `Init::register`"),
    }
}

pub(crate) fn malformed(message: String) -> Error {
    Error::new(ErrorKind::Format, "architecture", message)
}
