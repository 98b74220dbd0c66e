//! A graph as JSON and back.
//!
//! ```json
//! {"inputs": [{"name": "input", "shape": [4]}],
//!  "layers": [{"layer": "Dense", "units": 2, "name": "dense"}],
//!  "calls": [{"name": "dense", "layer": "dense", "inputs": ["input"]}],
//!  "outputs": ["dense"]}
//! ```

use super::{Graph, Place, What};
use crate::architecture::{self, malformed};
use crate::{Init, Json};
use kiln_tensor::{Device, Result};
use serde::Deserialize;
use serde_json::{Map, json};

#[derive(Deserialize)]
struct Description {
    inputs: Vec<OfInput>,
    calls: Vec<OfCall>,
    outputs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfInput {
    name: String,
    shape: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfCall {
    name: String,
    layer: String,
    method: Option<String>,
    inputs: Vec<String>,
}

impl Graph {
    /// The architecture, from which [`Graph::from_architecture`] makes the model again. Weights are not in it:
    /// [`crate::safetensors`].
    pub fn architecture(&self) -> Json {
        Json::Object(self.description())
    }

    /// The model of an [`architecture`](Graph::architecture), built, with first weights.
    ///
    /// # Errors
    /// An invalid description, named with what is expected; layers that are not known
    /// ([`Init::register`]).
    pub fn from_architecture(architecture: &Json, device: &Device) -> Result<Self> {
        Graph::from_architecture_with(architecture, &mut Init::new(0, device))
    }

    /// As [`Graph::from_architecture`], with parameters from `init`, which also knows custom layers.
    ///
    /// # Errors
    /// As [`Graph::from_architecture`].
    pub fn from_architecture_with(architecture: &Json, init: &mut Init) -> Result<Self> {
        architecture::check("the model", "Graph", architecture)?;
        let mut graph = Graph::read(architecture, init)?;
        graph.make(init)?;
        Ok(graph)
    }

    pub(super) fn description(&self) -> Map<String, Json> {
        let name = |at: usize| Json::from(self.places[at].name.as_str());
        let names = |places: &[usize]| places.iter().map(|&at| name(at)).collect::<Json>();
        let inputs = self.inputs.iter().filter_map(|&at| match &self.places[at].what {
            What::Input(shape) => Some(json!({ "name": name(at), "shape": shape.to_json() })),
            What::Call { .. } => None,
        });
        let calls = self.places.iter().filter_map(|place| match &place.what {
            What::Input(_) => None,
            What::Call { layer, method, arguments } => {
                let layer = self.layers.at(*layer).0.to_string();
                let mut call = json!({ "name": place.name, "layer": layer, "inputs": names(arguments) });
                if let Some(method) = method {
                    call["method"] = method.as_str().into();
                }
                Some(call)
            }
        });
        let mut description = Map::from_iter([
            ("inputs".to_owned(), inputs.collect()),
            ("layers".to_owned(), architecture::list(&self.layers)),
            ("calls".to_owned(), calls.collect()),
            ("outputs".to_owned(), names(&self.outputs)),
        ]);
        architecture::write_lookups(&self.lookups, &mut description);
        description
    }

    /// The graph of a description, not built.
    pub(crate) fn read(description: &Json, init: &mut Init) -> Result<Self> {
        let Description { inputs, calls, outputs } =
            Description::deserialize(description).map_err(|error| malformed(format!("a graph: {error}")))?;
        let mut graph = Graph::new();
        for input in inputs {
            let shape = architecture::shapes(&input.shape)?;
            graph.add_place(input.name, What::Input(shape))?;
            graph.inputs.push(graph.places.len() - 1);
        }
        graph.layers = architecture::listed("layers", description, init)?;
        graph.layers.check_unique()?;
        for OfCall { name, layer, method, inputs } in calls {
            let known = graph.layers.iter().position(|(segment, _)| segment.to_string() == layer);
            let layer = known.ok_or_else(|| malformed(format!("call {name}: no layer is called {layer}")))?;
            let arguments = inputs.iter().map(|input| graph.find(&name, input)).collect::<Result<Vec<_>>>()?;
            if arguments.is_empty() {
                return Err(malformed(format!("call {name} has no inputs")));
            }
            graph.add_place(name, What::Call { layer, method, arguments })?;
        }
        let outputs = outputs.iter().map(|output| graph.find("outputs", output)).collect::<Result<Vec<_>>>()?;
        let inputs = graph.inputs.clone();
        graph.keep_only(&inputs, &outputs)?;
        graph.lookups = architecture::lookups(description)?;
        Ok(graph)
    }

    /// The place of this name, which must have come before: so there is no cycle.
    fn find(&self, user: &str, name: &str) -> Result<usize> {
        self.places.iter().position(|place| place.name == name).ok_or_else(|| {
            malformed(format!("{user} needs `{name}`, which does not come before it: a graph has no cycles"))
        })
    }

    fn add_place(&mut self, name: String, what: What) -> Result<()> {
        if self.places.iter().any(|place| place.name == name) {
            return Err(malformed(format!("two inputs or calls are named {name}")));
        }
        self.places.push(Place { name, what });
        Ok(())
    }
}
