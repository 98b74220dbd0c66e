//! Models with several inputs: `inputs` names them, and `from` in the list of layers says what a layer takes.

use super::node::{Node, Value};
use super::section::{Section, Setting};
use kiln::prelude::*;
use kiln::tensor::nearest;
use serde_json::{Value as Json, json};

/// The name of the graph in the model's paths.
const NAME: &str = "graph";

/// A name, or several.
struct Names(Vec<String>);

impl Setting for Names {
    fn of(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Text(name) => Some(Names(vec![name.clone()])),
            _ => Vec::of(node).map(Names),
        }
    }
    fn expected() -> String {
        "a name, or a list of names,".to_owned()
    }
}

/// The description of a model for samples of these shapes. Its only layer is the graph of the settings: a layer takes what `from` names, inputs
/// and layers before it, or else the output of the layer before it. The last layer gives the model's output.
pub(super) fn description(settings: &Section<'_>, shapes: &[Vec<usize>]) -> Result<Json> {
    let inputs: Vec<String> = settings.need("inputs")?;
    if inputs.len() != shapes.len() {
        let why = format!("the data has {} inputs, and {} are named", shapes.len(), inputs.len());
        return Err(settings.wrong("inputs", &why));
    }
    let (mut known, mut used) = (inputs.clone(), vec![false; inputs.len()]);
    let (mut layers, mut calls) = (Vec::new(), Vec::new());
    let Some(Node { value: Value::List(nodes), .. }) = settings.node("layers") else {
        return Err(settings.missing("layers", "a list of layers"));
    };
    for (at, (layer, node)) in settings.sections("layers")?.iter().zip(nodes).enumerate() {
        let name = layer.get::<String>("name")?.unwrap_or_else(|| at.to_string());
        if known.contains(&name) {
            return Err(
                layer.wrong("name", &format!("two inputs or layers are called `{name}`: give each its own name"))
            );
        }
        let from = match layer.get::<Names>("from")? {
            Some(Names(from)) => from,
            None if at > 0 || inputs.len() == 1 => known.last().cloned().into_iter().collect(),
            None => return Err(layer.missing("from", "the name of an input")),
        };
        for name in &from {
            let Some(place) = known.iter().position(|known| known == name) else {
                let hint = match nearest(name, known.iter().map(String::as_str)) {
                    Some(nearest) => format!("the nearest is `{nearest}`"),
                    None => format!("there are {}", known.join(", ")),
                };
                return Err(layer.wrong("from", &format!("no input and no layer before is called `{name}`: {hint}")));
            };
            used[place] = true;
        }
        let mut made = node.to_json();
        if let Some(made) = made.as_object_mut() {
            made.remove("from");
        }
        layers.push(made);
        calls.push(json!({ "name": name, "layer": name, "inputs": from }));
        known.push(name);
        used.push(false);
    }
    // The last layer is the output.
    let Some((_, taken)) = used.split_last().filter(|_| !calls.is_empty()) else {
        return Err(settings.missing("layers", "a list of layers"));
    };
    if let Some(at) = taken.iter().position(|&taken| !taken) {
        let (key, what) = if at < inputs.len() { ("inputs", "the input") } else { ("layers", "the output of") };
        let name = &known[at];
        let why = format!("no layer takes {what} `{name}`: name it in `from` of a later layer, or leave it out");
        return Err(settings.wrong(key, &why));
    }
    let output = calls.last().map(|call| call["name"].clone());
    let shaped = inputs.iter().zip(shapes).map(|(name, shape)| json!({ "name": name, "shape": shape }));
    let graph = json!({
        "layer": "Graph",
        "name": NAME,
        "inputs": shaped.collect::<Json>(),
        "layers": layers,
        "calls": calls,
        "outputs": output.into_iter().collect::<Json>(),
    });
    let input = match shapes {
        [one] => json!(one),
        several => json!(several),
    };
    Ok(json!({ "input": input, "layers": [graph] }))
}
