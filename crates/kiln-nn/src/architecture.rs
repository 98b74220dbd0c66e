//! Models as JSON and back: layers by name, each with its settings.

use crate::{Activation, Dense, Dropout, Flatten, Init, Layer, Linear, Sequential};
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// `{"layers": [{"layer": "Dense", "units": 10, …}, …]}`. Of a layer without a config, the name alone.
pub(crate) fn of_layers(model: &Sequential) -> Map<String, Value> {
    let layers = model.layers().map(|layer| {
        let mut object = match layer.config() {
            Some(Value::Object(settings)) => settings,
            _ => Map::new(),
        };
        object.entry("layer").or_insert_with(|| layer.name().into());
        Value::Object(object)
    });
    Map::from_iter([("layers".to_owned(), layers.collect())])
}

/// The model of such an object; built where it says for which input.
pub(crate) fn model(object: &Value, init: &mut Init) -> Result<Sequential> {
    let Some(layers) = object.get("layers").and_then(Value::as_array) else {
        return Err(malformed("`layers`, a list, is expected".to_owned()));
    };
    let mut model = Sequential::new();
    for (index, description) in layers.iter().enumerate() {
        model.add(init.scope(index, |init| layer(index, description, init))?);
    }
    match object.get("input") {
        None => Ok(model),
        Some(input) => model.build_with(shape(input)?, init),
    }
}

fn shape(input: &Value) -> Result<Shape> {
    let dims = input.as_array().and_then(|axes| {
        axes.iter().map(|axis| axis.as_u64().and_then(|size| usize::try_from(size).ok())).collect::<Option<Vec<_>>>()
    });
    let expected = || malformed(format!("`input`, the sizes of a sample's axes, is expected, got {input}"));
    Shape::new(&dims.ok_or_else(expected)?)
}

/// A layer of its own name. Those that need to know their sizes at once take first weights from `init`.
fn layer(index: usize, description: &Value, init: &mut Init) -> Result<Box<dyn Layer>> {
    #[derive(Deserialize)]
    struct OfActivation {
        activation: Activation,
    }
    #[derive(Deserialize)]
    struct OfLinear {
        inputs: usize,
        outputs: usize,
        bias: bool,
    }
    let Some(name) = description.get("layer").and_then(Value::as_str) else {
        return Err(malformed(format!("layer {index}: `layer`, its name, is expected")));
    };
    fn settings<S: DeserializeOwned>(index: usize, name: &str, description: &Value) -> Result<S> {
        S::deserialize(description).map_err(|error| malformed(format!("layer {index} ({name}): {error}")))
    }
    Ok(match name {
        "Activation" => Box::new(settings::<OfActivation>(index, name, description)?.activation),
        "Dense" => Box::new(settings::<Dense>(index, name, description)?),
        "Dropout" => Box::new(settings::<Dropout>(index, name, description)?),
        "Flatten" => Box::new(Flatten::new()),
        "Linear" => match settings(index, name, description)? {
            OfLinear { inputs, outputs, bias: true } => Box::new(Linear::new(inputs, outputs, init)?),
            OfLinear { inputs, outputs, bias: false } => Box::new(Linear::without_bias(inputs, outputs, init)?),
        },
        "Sequential" => Box::new(model(description, init)?),
        _ => return Err(malformed(format!("layer {index} is a {name}, which Kiln does not make from a description"))),
    })
}

fn malformed(message: String) -> Error {
    Error::new(ErrorKind::Format, "architecture", message)
}
