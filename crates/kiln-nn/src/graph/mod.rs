//! Models of layers in any order: several inputs, several outputs, layers in several places.
//!
//! A [`Graph`] is written as in Keras's functional API: [`Graph::input`] and [`Graph::call`] give places ([`Node`]) that later
//! calls take; [`Graph::build`] names the model's inputs and outputs. Calls can only take what was there before, so a graph has
//! no cycles, and its calls run in the order in which they were written.

mod architecture;
mod nodes;
mod run;
mod trim;
mod write;

pub use nodes::{Callee, Node, Nodes, Shared};

use crate::layers::{Layers, Lookups, lookups};
use crate::value::{Shapes, Value};
use crate::{AnyLayer, Ctx, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result};
use std::fmt;

/// A model of layers in any order, as Keras's functional API makes it.
///
/// ```
/// use kiln_nn::{Activation, Ctx, Dense, Flatten, Graph, Module};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> kiln_tensor::Result<()> {
/// let mut g = Graph::new();
/// let image = g.input([28, 28]);
/// let meta = g.input([4]);
/// let h = g.call(Flatten::new(), &image)?;
/// let h = g.call(Dense::new(64).activation(Activation::Relu), &h)?;
/// let h = g.concat(&[&h, &meta])?;
/// let digit = g.call_named("digit", Dense::new(10).activation(Activation::Softmax), &h)?;
/// let width = g.call_named("width", Dense::new(1), &h)?;
/// let cpu = Device::cpu();
/// let model = g.build(&[&image, &meta], &[&digit, &width], &cpu, 1)?; // inputs, outputs, where, seed
///
/// assert_eq!(model.parameters()[2].0, "digit.weight");
/// let (image, meta) = (Tensor::zeros([8, 28, 28], DType::F32, &cpu)?, Tensor::zeros([8, 4], DType::F32, &cpu)?);
/// let outputs = Ctx::eval().run(&model, (image, meta))?;
/// assert_eq!(outputs.parts()[0].as_var()?.dims(), [8, 10]);
/// # Ok(())
/// # }
/// ```
///
/// A layer that is used in several places is one set of parameters: [`Graph::layer`] adds it once, every [`Graph::call`] of it
/// is a place.
#[derive(Module)]
pub struct Graph {
    /// Layers under the names that paths begin with.
    #[module(flatten)]
    layers: Layers,
    #[module(skip)]
    places: Vec<Place>,
    #[module(skip)]
    inputs: Vec<usize>,
    #[module(skip)]
    outputs: Vec<usize>,
    #[module(skip)]
    built: Option<Built>,
    /// The first input of an invalid shape.
    #[module(skip)]
    fault: Option<Error>,
    #[module(skip)]
    lookups: Lookups,
    /// Told apart from other graphs, whose nodes are refused.
    #[module(skip)]
    id: u64,
}

/// What gives a value.
struct Place {
    name: String,
    what: What,
}

enum What {
    /// An input of samples of this shape.
    Input(Shapes),
    /// A layer, or one of its methods, called with the values of these places.
    Call { layer: usize, method: Option<String>, arguments: Vec<usize> },
}

/// Known once built.
struct Built {
    /// Of each place, the shapes of one sample.
    shapes: Vec<Shapes>,
    /// Of each place, the last one that takes its value; itself where none does.
    last_use: Vec<usize>,
}

impl Graph {
    lookups!();

    /// The output for a batch, of a model with one output. A tuple or a Vec is several inputs. [`Ctx::run`] gives all outputs
    /// with their masks.
    ///
    /// # Errors
    /// Those of the layers, named by their path; another number of inputs; a model with several outputs.
    pub fn forward(&self, x: impl Into<Value>, ctx: &Ctx) -> Result<Var> {
        ctx.run(self, x)?.var()
    }

    /// The names of the inputs, in order.
    pub fn input_names(&self) -> Vec<&str> {
        self.inputs.iter().map(|&at| self.places[at].name.as_str()).collect()
    }

    /// The shapes of one sample's outputs, once built.
    pub fn output_shapes(&self) -> Vec<&Shapes> {
        self.built.iter().flat_map(|built| self.outputs.iter().map(|&at| &built.shapes[at])).collect()
    }

    /// The layers, each with its name.
    pub fn layers(&self) -> impl Iterator<Item = (String, &(dyn AnyLayer + 'static))> {
        self.layers.iter().map(|(segment, layer)| (segment.to_string(), layer))
    }

    /// The summary, as [`Sequential::summary`](crate::Sequential::summary) prints it, with what each layer is connected to.
    pub fn summary(&self, title: &str) -> String {
        crate::summary::summary(self, title)
    }

    fn names(&self, places: &[usize]) -> String {
        places.iter().map(|&at| self.places[at].name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Default for Graph {
    fn default() -> Self {
        Graph::new()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.places.iter().map(|place| &place.name)).finish()
    }
}
