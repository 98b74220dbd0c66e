//! How a graph is written: inputs, calls, and how they are built.

use super::nodes::{Callee, Node, Nodes, Shared};
use super::{Built, Graph, Place, What};
use crate::layer::Method;
use crate::layers::{Add, Concatenate, Multiply, Subtract};
use crate::{Init, Layer, Shapes};
use kiln_tensor::{Device, Error, ErrorKind, IntoShape, Result, Shape};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

impl Graph {
    /// A graph without inputs and layers.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Graph {
            layers: Default::default(),
            places: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            built: None,
            fault: None,
            lookups: Default::default(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// An input for samples of this shape, without the batch axis. Its name is `input`, `input_1`, ….
    pub fn input(&mut self, shape: impl IntoShape) -> Node {
        let name = self.free_name("input");
        self.input_named(name, shape)
    }

    /// An input with this name. [`Graph::build`] refuses an invalid shape (too many axes or elements).
    pub fn input_named(&mut self, name: impl Into<String>, shape: impl IntoShape) -> Node {
        let name = name.into();
        let shape = shape.into_shape().unwrap_or_else(|error| {
            self.fault.get_or_insert(error.at(&name));
            Shape::SCALAR
        });
        self.place(name, What::Input(shape.into()))
    }

    /// Adds a layer that will be called in several places. Its name in paths is made from its type: `dense`, `dense_1`, ….
    pub fn layer<L: Layer + 'static>(&mut self, layer: L) -> Shared<L> {
        let name = self.free_name(&snake_case(layer.name()));
        self.add_layer(name, layer)
    }

    /// Adds a layer with this name, which the paths of its parameters begin with. The name may have dots: `layer1.0.conv1`.
    ///
    /// # Errors
    /// A name that another layer or input has.
    pub fn layer_named<L: Layer + 'static>(&mut self, name: impl Into<String>, layer: L) -> Result<Shared<L>> {
        let name = name.into();
        self.check_name(&name)?;
        Ok(self.add_layer(name, layer))
    }

    fn add_layer<L: Layer + 'static>(&mut self, name: String, layer: L) -> Shared<L> {
        self.layers.add(Some(name), Box::new(layer));
        Shared { graph: self.id, layer: self.layers.len() - 1, of: PhantomData }
    }

    /// Calls a layer with one place or several: `g.call(Dense::new(64), &x)?`, `g.call(&shared, &[&a, &b])?`.
    ///
    /// # Errors
    /// A place or a layer of another graph.
    pub fn call(&mut self, layer: impl Callee, arguments: impl Nodes) -> Result<Node> {
        let arguments = self.arguments(&arguments)?;
        let layer = layer.within(self)?;
        Ok(self.add_call(layer, None, arguments))
    }

    /// Adds a layer with this name and calls it.
    ///
    /// # Errors
    /// A name that another layer or input has; a place of another graph.
    pub fn call_named(
        &mut self,
        name: impl Into<String>,
        layer: impl Layer + 'static,
        arguments: impl Nodes,
    ) -> Result<Node> {
        let arguments = self.arguments(&arguments)?;
        let layer = self.layer_named(name, layer)?;
        Ok(self.add_call(layer.layer, None, arguments))
    }

    /// Calls another method of a shared layer, with the same parameters: for example the output of a language model by the vectors of
    /// its embedding (tied weights).
    ///
    /// ```
    /// use kiln_nn::{Embedding, Graph, Lstm, Module};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let mut g = Graph::new();
    /// let tokens = g.input([20]);
    /// let embedding = g.layer(Embedding::new(1000, 32));
    /// let x = g.call(&embedding, &tokens)?;
    /// let h = g.call(Lstm::new(32).return_sequences(true), &x)?;
    /// let logits = g.call_with(&embedding, Embedding::LOGITS, &h)?; // h · Wᵀ, one number for each word
    /// let model = g.build(&[&tokens], &[&logits], &kiln_tensor::Device::cpu(), 1)?;
    /// assert_eq!(*model.output_shapes()[0], [20, 1000]);
    /// assert_eq!(model.parameters().iter().filter(|(path, _)| path.starts_with("embedding")).count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A place or a layer of another graph.
    pub fn call_with<L: Layer>(&mut self, layer: &Shared<L>, method: Method<L>, arguments: impl Nodes) -> Result<Node> {
        let arguments = self.arguments(&arguments)?;
        let layer = layer.within(self)?;
        Ok(self.add_call(layer, Some(method.name().to_owned()), arguments))
    }

    /// Concatenates values along the features, the last axis; images (N, C, H, W) along the channels. See [`Concatenate`].
    ///
    /// # Errors
    /// A place of another graph.
    pub fn concat(&mut self, places: &[&Node]) -> Result<Node> {
        self.call(Concatenate::new(), places)
    }

    /// The sum of the values.
    ///
    /// # Errors
    /// A place of another graph.
    pub fn add(&mut self, places: &[&Node]) -> Result<Node> {
        self.call(Add::new(), places)
    }

    /// The product of the values, element by element.
    ///
    /// # Errors
    /// A place of another graph.
    pub fn multiply(&mut self, places: &[&Node]) -> Result<Node> {
        self.call(Multiply::new(), places)
    }

    /// The first value minus the second.
    ///
    /// # Errors
    /// A place of another graph.
    pub fn subtract(&mut self, first: &Node, second: &Node) -> Result<Node> {
        self.call(Subtract::new(), &[first, second])
    }

    /// The model from these inputs to these outputs. Its parameters are f32 and their first values are drawn from this seed. Layers that no
    /// output depends on are left out.
    ///
    /// # Errors
    /// An input of an invalid shape; an input that no output depends on; an input that an output depends on and that is missing; a place that
    /// is given twice or is of another graph; a layer that cannot take its input, with its path.
    pub fn build(self, inputs: &[&Node], outputs: &[&Node], device: &Device, seed: u64) -> Result<Self> {
        self.build_with(inputs, outputs, &mut Init::new(seed, device))
    }

    /// [`Graph::build`] with an [`Init`], which also sets the dtype of the parameters.
    ///
    /// # Errors
    /// As [`Graph::build`].
    pub fn build_with(self, inputs: &[&Node], outputs: &[&Node], init: &mut Init) -> Result<Self> {
        let mut graph = self.between(inputs, outputs)?;
        graph.make(init)?;
        Ok(graph)
    }

    /// The graph from these inputs to these outputs, not built yet: a layer of another model, which builds it.
    ///
    /// ```
    /// use kiln_nn::{Embedding, Graph, LayerNorm, Module, Sequential};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let mut g = Graph::new();
    /// let tokens = g.input([20]);
    /// let embedding = g.layer_named("embedding", Embedding::new(1000, 32))?;
    /// let x = g.call(&embedding, &tokens)?;
    /// let x = g.call_named("norm", LayerNorm::new(), &x)?;
    /// let logits = g.call_with(&embedding, Embedding::LOGITS, &x)?;
    /// let tied = g.between(&[&tokens], &[&logits])?;
    /// let model = Sequential::new().push_named("tied", tied).build([20], &kiln_tensor::Device::cpu(), 1)?;
    /// assert_eq!(model.parameters()[0].0, "tied.embedding.weight");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Graph::build`], except errors of layers: they come when the model is built.
    pub fn between(mut self, inputs: &[&Node], outputs: &[&Node]) -> Result<Self> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let (inputs, outputs) = (self.arguments(&inputs)?, self.arguments(&outputs)?);
        self.keep_only(&inputs, &outputs)?;
        Ok(self)
    }

    /// Builds every layer in order and notes the shapes.
    pub(super) fn make(&mut self, init: &mut Init) -> Result<()> {
        let mut shapes: Vec<Shapes> = Vec::with_capacity(self.places.len());
        for place in &self.places {
            shapes.push(match &place.what {
                What::Input(shape) if shape.elements() == 0 => {
                    return Err(Error::shape(
                        "build",
                        format!("input `{}`: samples of shape {shape} are empty", place.name),
                    ));
                }
                What::Input(shape) => shape.clone(),
                What::Call { layer, method, arguments } => {
                    let given = match arguments.as_slice() {
                        [one] => shapes[*one].clone(),
                        several => Shapes::Many(several.iter().map(|&at| shapes[at].clone()).collect()),
                    };
                    let (segment, layer) = self.layers.at_mut(*layer);
                    match method {
                        None => init.layer(segment, layer, &given)?,
                        Some(method) => init.method_shape(segment, layer, method, &given)?,
                    }
                }
            });
        }
        self.note(shapes);
        Ok(())
    }

    /// Notes the places' shapes and where their values are used last.
    pub(super) fn note(&mut self, shapes: Vec<Shapes>) {
        let mut last_use: Vec<usize> = (0..self.places.len()).collect();
        for (at, place) in self.places.iter().enumerate() {
            if let What::Call { arguments, .. } = &place.what {
                arguments.iter().for_each(|&argument| last_use[argument] = at);
            }
        }
        self.outputs.iter().for_each(|&output| last_use[output] = usize::MAX);
        self.built = Some(Built { shapes, last_use });
    }

    /// The numbers of places, which must be of this graph.
    fn arguments(&self, nodes: &impl Nodes) -> Result<Vec<usize>> {
        let own = |node: Node| match node.graph == self.id {
            true => Ok(node.at),
            false => Err(Error::value("graph", "this node is of another graph: only its own can be used")),
        };
        nodes.nodes().into_iter().map(own).collect()
    }

    fn add_call(&mut self, layer: usize, method: Option<String>, arguments: Vec<usize>) -> Node {
        let name = self.call_name(layer, method.as_deref());
        self.place(name, What::Call { layer, method, arguments })
    }

    /// The layer's name, or where that is taken by another call of it, with its number: `dense(2)`.
    fn call_name(&self, layer: usize, method: Option<&str>) -> String {
        let of = |place: &&Place| matches!(place.what, What::Call { layer: other, .. } if other == layer);
        let calls = self.places.iter().filter(of).count();
        let (segment, _) = self.layers.at(layer);
        let name = segment.to_string();
        match (method, calls) {
            (Some(method), _) => format!("{name}.{method}"),
            (None, 0) => name,
            (None, calls) => format!("{name}({})", calls + 1),
        }
    }

    fn place(&mut self, name: String, what: What) -> Node {
        self.places.push(Place { name, what });
        self.built = None;
        Node { graph: self.id, at: self.places.len() - 1 }
    }

    fn is_taken(&self, name: &str) -> bool {
        self.places.iter().any(|place| place.name == name) || self.layers.names().any(|other| other == Some(name))
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let wrong = name.is_empty() || name.split('.').any(str::is_empty);
        let message = match self.is_taken(name) {
            true => format!("two layers or inputs are called {name}: give each a name of its own"),
            false if wrong => format!("{name:?} is an invalid name: it must not be empty, nor any part between dots"),
            false => return Ok(()),
        };
        Err(Error::new(ErrorKind::Value, "graph", message))
    }

    /// `dense`, or `dense_1` and so on where that is taken.
    fn free_name(&self, stem: &str) -> String {
        let numbered = (1..).map(|number| format!("{stem}_{number}"));
        let mut names = std::iter::once(stem.to_owned()).chain(numbered);
        names.find(|name| !self.is_taken(name)).unwrap_or_default()
    }
}

/// `GlobalAvgPool` as `global_avg_pool`, `Conv2d` as `conv2d`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
