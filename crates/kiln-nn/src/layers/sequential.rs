//! Layers one after the other.

use super::channels_last::{expect_channels_first, expect_layout};
use super::checkpoint;
use super::list::Layers;
use super::preprocessing::{Lookups, lookups};
use crate::{AnyLayer, Ctx, Describe, Init, Layer, LayerPrecision, Module, Part, Segment, Shapes, Value, architecture};
use kiln_autograd::Var;
use kiln_tensor::{Device, Error, ErrorKind, IntoShape, Result, Shape};
use serde_json::Value as Json;
use std::fmt;

/// Layers one after the other. Paths are `0.weight`, `1.bias`, …, as of PyTorch's `Sequential`, or by the layers' own names
/// ([`Sequential::push_named`]).
///
/// ```
/// use kiln_nn::{Activation, Dense, Flatten, Module, Sequential};
/// use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Flatten::new())
///     .push(Dense::new(128).activation(Activation::Relu))
///     .push(Dense::new(10).activation(Activation::Softmax))
///     .build([28, 28], &Device::cpu(), 1)?; // shape of one sample, where, seed
/// assert_eq!(model.parameter_count(), 101_770);
/// assert_eq!(model.parameters()[0].0, "1.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Module, Default)]
pub struct Sequential {
    #[module(flatten)]
    layers: Layers,
    #[module(skip)]
    built: Option<Built>,
    channels_first: bool,
    #[module(skip)]
    pub(crate) lookups: Lookups,
    #[module(skip)]
    pub(super) checkpoint_every: Option<usize>,
}

/// Shapes of one sample, known once built.
struct Built {
    input: Shapes,
    outputs: Vec<Shapes>,
}

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Self {
        Sequential::default()
    }

    /// The same with one layer more at the end.
    #[must_use]
    pub fn push(mut self, layer: impl AnyLayer + 'static) -> Self {
        self.add(layer);
        self
    }

    /// The same with one layer more at the end, which paths call by this name instead of its position: `conv1.weight`.
    ///
    /// ```
    /// use kiln_nn::{Dense, Module, Sequential};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let head = Sequential::new().push_named("fc", Dense::new(10)).build([512], &kiln_tensor::Device::cpu(), 1)?;
    /// assert_eq!(head.parameters()[0].0, "fc.weight");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn push_named(mut self, name: impl Into<String>, layer: impl AnyLayer + 'static) -> Self {
        self.add_boxed(Some(name.into()), Box::new(layer));
        self
    }

    /// Adds a layer at the end (Keras's `model.add`).
    pub fn add(&mut self, layer: impl AnyLayer + 'static) {
        self.add_boxed(None, Box::new(layer));
    }

    /// Adds a layer at the end under this name (PyTorch's `add_module`).
    pub fn add_named(&mut self, name: impl Into<String>, layer: impl AnyLayer + 'static) {
        self.add_boxed(Some(name.into()), Box::new(layer));
    }

    fn add_boxed(&mut self, name: Option<String>, layer: Box<dyn AnyLayer>) {
        self.layers.add(name, layer);
        self.built = None;
    }

    /// The model that ends with the layer of this name or position: the features of a model without its head. Parameters keep
    /// their values and paths.
    ///
    /// ```
    /// use kiln_nn::{Dense, GlobalAvgPool, Conv2d, Module, Sequential};
    /// # fn main() -> kiln_tensor::Result<()> {
    /// let model = Sequential::new()
    ///     .push(Conv2d::new(8, 3))
    ///     .push_named("pool", GlobalAvgPool::new())
    ///     .push_named("fc", Dense::new(10))
    ///     .build([3, 32, 32], &kiln_tensor::Device::cpu(), 1)?;
    /// let features = model.ending_at("pool")?;
    /// assert_eq!((features.len(), features.parameters().len()), (2, 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A name that no layer has.
    pub fn ending_at(self, layer: &str) -> Result<Self> {
        let names: Vec<String> = self.named_layers().map(|(segment, _)| segment.to_string()).collect();
        let Some(last) = names.iter().position(|name| name == layer) else {
            let message = format!("no layer is called `{layer}`: there are {}", names.join(", "));
            return Err(Error::value("ending_at", message));
        };
        let Sequential { layers, built, channels_first, lookups, checkpoint_every } = self;
        let mut kept = Layers::default();
        layers.into_entries().take(last + 1).for_each(|entry| kept.push(entry));
        let built = built.map(|mut built| {
            built.outputs.truncate(last + 1);
            built
        });
        Ok(Sequential { layers: kept, built, channels_first, lookups, checkpoint_every })
    }

    /// Of layers that were described.
    pub(crate) fn of(layers: Layers) -> Self {
        Sequential { layers, ..Sequential::default() }
    }

    /// Says that the shape of the samples has the channels first, also where it looks like channels last.
    /// [`build`](Sequential::build) refuses (32, 32, 3) for a model of images, which is more often an image of 32 × 32 with
    /// three colors than 32 channels of 32 × 3.
    ///
    /// ```
    /// use kiln_nn::{Conv2d, Sequential};
    /// use kiln_tensor::Device;
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let model = || Sequential::new().push(Conv2d::new(8, 3));
    /// assert!(model().build([32, 32, 3], &Device::cpu(), 1).is_err());
    /// let model = model().channels_first().build([32, 32, 3], &Device::cpu(), 1)?;
    /// assert_eq!(model.output_shapes()[0], [8, 30, 1]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn channels_first(mut self) -> Self {
        self.channels_first = true;
        self
    }

    lookups!();

    /// Makes the parameters of all layers for samples of this shape (without the batch axis), f32, drawn from this seed.
    ///
    /// # Errors
    /// A layer that cannot take its input's shape, named by its path. A shape that looks like channels last, (32, 32, 3), where
    /// the first layer takes (C, H, W); see [`Sequential::channels_first`].
    pub fn build(self, input: impl IntoShape, device: &Device, seed: u64) -> Result<Self> {
        self.build_with(input, &mut Init::new(seed, device))
    }

    /// As [`Sequential::build`], with an [`Init`] that says more: the parameters' dtype.
    ///
    /// # Errors
    /// As [`Sequential::build`].
    pub fn build_with(mut self, input: impl IntoShape, init: &mut Init) -> Result<Self> {
        let input = input.into_shape()?;
        if let Some(axes) = self.spatial_axes().filter(|_| !self.channels_first) {
            expect_channels_first(&input, axes)?;
        }
        Layer::build(&mut self, &Shapes::One(input), init)?;
        Ok(self)
    }

    /// The layers in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &(dyn AnyLayer + 'static)> {
        self.layers.iter().map(|(_, layer)| layer)
    }

    /// The layers in order, each with its step of the path: its name or its position.
    pub fn named_layers(&self) -> impl ExactSizeIterator<Item = (Segment<'_>, &(dyn AnyLayer + 'static))> {
        self.layers.iter()
    }

    /// The layers with the names that were given.
    pub(crate) fn list(&self) -> &Layers {
        &self.layers
    }

    /// The number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are no layers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one input sample, once built for one input.
    pub fn input_shape(&self) -> Option<&Shape> {
        self.built.as_ref().and_then(|built| built.input.one().ok())
    }

    /// The shapes of one sample's inputs, once built; several of a model that begins with a [`Graph`](crate::Graph) of several inputs.
    pub fn input_shapes(&self) -> Option<&Shapes> {
        self.built.as_ref().map(|built| &built.input)
    }

    /// The architecture, from which [`Sequential::from_architecture`] makes the model again: the input's shape, once built,
    /// and the layers in order, each with its settings. Weights are not in it: [`crate::safetensors`].
    ///
    /// ```
    /// # use kiln_nn::{Dropout, Flatten, Sequential};
    /// # use kiln_tensor::Device;
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let cpu = Device::cpu();
    /// let model = Sequential::new().push(Flatten::new()).push(Dropout::new(0.5)).build([28, 28], &cpu, 1)?;
    /// let architecture = model.architecture();
    /// let json = r#"{"input":[28,28],"layers":[{"layer":"Flatten"},{"layer":"Dropout","rate":0.5}]}"#;
    /// assert_eq!(architecture.to_string(), json);
    /// assert_eq!(Sequential::from_architecture(&architecture, &cpu)?.architecture(), architecture);
    /// # Ok(())
    /// # }
    /// ```
    pub fn architecture(&self) -> Json {
        let mut object = architecture::of_layers(self);
        if let Some(Built { input, .. }) = &self.built {
            object.insert("input".to_owned(), input.to_json());
        }
        Json::Object(object)
    }

    /// The model of an [`architecture`](Sequential::architecture), with first weights; built where the input's shape is in it.
    ///
    /// Of a layer only what its constructor asks for must be said. Other settings are by default as the constructor sets them, and what
    /// has no settings of its own is a name alone: `"relu"`, `"he_normal"`, `{"l2": 0.001}`, `"same"`.
    ///
    /// ```
    /// # use kiln_nn::Sequential;
    /// # use kiln_tensor::Device;
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let description = serde_json::json!({
    ///     "input": [1, 28, 28],
    ///     "layers": [
    ///         {"layer": "Conv2d", "filters": 32, "kernel": 3, "activation": "relu"},
    ///         {"layer": "MaxPool2d", "kernel": 2},
    ///         {"layer": "Flatten"},
    ///         {"layer": "Dense", "units": 10, "kernel_regularizer": {"l2": 0.001}},
    ///     ],
    /// });
    /// let model = Sequential::from_architecture(&description, &Device::cpu())?;
    /// assert_eq!(model.output_shapes()[1], [32, 13, 13]);
    ///
    /// let wrong = serde_json::json!({"layers": [{"layer": "Dense", "unit": 10}]});
    /// let error = Sequential::from_architecture(&wrong, &Device::cpu()).unwrap_err();
    /// assert_eq!(error.message(), "layer 0 (Dense): unknown setting `unit`; the nearest is `units`");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A description with a layer or a setting that is unknown, with the nearest name; a setting that is missing or makes no sense;
    /// custom layers that are not registered.
    pub fn from_architecture(architecture: &Json, device: &Device) -> Result<Self> {
        Self::from_architecture_with(architecture, &mut Init::new(0, device))
    }

    /// As [`Sequential::from_architecture`], with parameters from `init`: of another seed or dtype, or placeholders for values
    /// that are loaded next.
    ///
    /// # Errors
    /// As [`Sequential::from_architecture`].
    pub fn from_architecture_with(architecture: &Json, init: &mut Init) -> Result<Self> {
        architecture::model("the model", architecture, init)
    }

    /// The output for a batch, of a model with one output. Its mask is left out; [`Ctx::run`] gives the whole [`Value`].
    ///
    /// # Errors
    /// Those of the layers, named by their path; a model with several outputs.
    pub fn forward(&self, x: impl Into<Value>, ctx: &Ctx) -> Result<Var> {
        ctx.run(self, x)?.var()
    }

    /// The shape that each layer gives for one sample; empty before [`Sequential::build`].
    pub fn output_shapes(&self) -> &[Shapes] {
        self.built.as_ref().map_or(&[], |built| &built.outputs)
    }
}

impl Layer for Sequential {
    type Input = Value;
    type Output = Value;

    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        if let (Some(Built { input: Shapes::One(input), .. }), Value::One(batch, _)) = (&self.built, &x)
            && let sample = batch.dims().get(1..).unwrap_or(&[])
            && *sample != **input
            && let Some(axes) = self.spatial_axes()
        {
            expect_layout(sample, input, axes)?;
        }
        // What layers tell a recorder must be part of the graph.
        if let Some(every) = self.checkpoint_every.filter(|_| ctx.recorder().is_none()) {
            return checkpoint::run(self.layers.entries(), every, x, ctx);
        }
        checkpoint::in_order(self.layers.iter(), x, ctx)
    }

    fn build(&mut self, input: &Shapes, init: &mut Init) -> Result<Shapes> {
        if input.elements() == 0 {
            return Err(Error::new(ErrorKind::Shape, "build", format!("samples of shape {input} are empty")));
        }
        self.layers.check_names()?;
        self.checkpoint_every.map_or(Ok(()), checkpoint::check)?;
        let mut outputs: Vec<Shapes> = Vec::with_capacity(self.layers.len());
        for (segment, layer) in self.layers.iter_mut() {
            let shape = outputs.last().unwrap_or(input);
            outputs.push(init.layer(segment, layer, shape)?);
        }
        let output = outputs.last().unwrap_or(input).clone();
        self.built = Some(Built { input: input.clone(), outputs });
        Ok(output)
    }

    fn reset_states(&self) {
        self.layers().for_each(|layer| layer.forget());
    }

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }
}

impl Describe for Sequential {
    fn config(&self) -> Option<Json> {
        Some(Json::Object(architecture::of_layers(self)))
    }

    fn spatial_axes(&self) -> Option<usize> {
        self.layers().next()?.spatial_axes()
    }

    fn flops(&self, _: &Shapes) -> u64 {
        self.layers().zip(self.output_shapes()).map(|(layer, output)| layer.flops(output)).sum()
    }

    fn parts(&self) -> Vec<Part<'_>> {
        let outputs = self.output_shapes().iter().map(Some).chain(std::iter::repeat(None));
        let part = |((segment, layer), output)| Part { segment, layer, output, inputs: Vec::new() };
        self.named_layers().zip(outputs).map(part).collect()
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers().map(|layer| layer.name())).finish()
    }
}
