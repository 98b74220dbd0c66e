//! The builder that hands out parameters.

use crate::context::located;
use crate::streams::Draws;
use crate::value::{FromValue, IntoValue, SampleShape, Shapes, Value};
use crate::{AnyLayer, Buffer, Ctx, Initializer, Layer, Param, Path, Segment, ShapeOf};
use kiln_math::{Purpose, RandomStream};
use kiln_tensor::{DType, Device, Result, Shape, Tensor};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// How many inputs an output of a layer sums, and how many outputs an input reaches: what initializers scale by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fans {
    /// Inputs per output; times the kernel's positions in a convolution.
    pub input: usize,
    /// Outputs per input; times the kernel's positions in a convolution.
    pub output: usize,
}

/// Where layers get their parameters from when they are built: device, dtype, and a random stream for each path.
///
/// A parameter's values depend on the seed and its path alone: adding a layer at the end changes none before it.
#[derive(Debug)]
pub struct Init {
    seed: u64,
    device: Device,
    dtype: DType,
    path: Path,
    draws: Draws,
    placeholders: bool,
    /// Custom layers by name.
    known: Vec<(String, FromSettings)>,
}

/// Makes a layer of its settings.
pub(crate) type FromSettings = fn(&Json) -> std::result::Result<Box<dyn AnyLayer>, serde_json::Error>;

impl Init {
    /// Parameters of f32 on this device, drawn from this seed.
    pub fn new(seed: u64, device: &Device) -> Self {
        Init {
            seed,
            device: device.clone(),
            dtype: DType::F32,
            path: Path::new(),
            draws: Draws::default(),
            placeholders: false,
            known: Vec::new(),
        }
    }

    /// Parameters of this floating-point type.
    #[must_use]
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// Parameters and buffers that take no memory: zeros of the right shapes, each one number seen at every place. For a
    /// model whose values are loaded next.
    #[must_use]
    pub fn placeholders(mut self) -> Self {
        self.placeholders = true;
        self
    }

    /// Registers a custom layer by its name, so that models with it can be loaded from their description
    /// ([`Sequential::from_architecture_with`](crate::Sequential::from_architecture_with)): serde reads its settings.
    ///
    /// ```
    /// use kiln_autograd::Var;
    /// use kiln_nn::{Ctx, Describe, Init, Layer, Module, Sequential};
    /// use kiln_tensor::{Device, Result};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Module, Describe, Serialize, Deserialize)]
    /// #[describe(settings)]
    /// struct Scale {
    ///     by: f64,
    /// }
    /// impl Layer for Scale {
    ///     type Input = Var;
    ///     type Output = Var;
    ///     fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
    ///         x.mul_scalar(self.by)
    ///     }
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// let architecture = Sequential::new().push(Scale { by: 2.0 }).architecture();
    /// let mut init = Init::new(1, &Device::cpu()).register::<Scale>("Scale");
    /// let model = Sequential::from_architecture_with(&architecture, &mut init)?;
    /// assert_eq!(model.architecture(), architecture);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn register<L: Layer + DeserializeOwned + 'static>(mut self, name: impl Into<String>) -> Self {
        self.known.push((name.into(), |settings| L::deserialize(settings).map(|layer| Box::new(layer) as _)));
        self
    }

    /// What makes the registered layer of this name.
    pub(crate) fn known(&self, name: &str) -> Option<FromSettings> {
        self.known.iter().find(|(known, _)| known == name).map(|&(_, make)| make)
    }

    /// The names of the registered layers.
    pub(crate) fn known_names(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|(name, _)| name.as_str())
    }

    /// Whether parameters are placeholders, whose values do not count.
    pub fn makes_placeholders(&self) -> bool {
        self.placeholders
    }

    /// Where parameters are made.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The next stream of this path.
    pub fn stream(&mut self) -> RandomStream {
        RandomStream::new(self.seed, Purpose::Init, self.draws.next(self.path.as_str(), 0))
    }

    /// A parameter called `name` below this path.
    ///
    /// # Errors
    /// Those of [`Initializer::tensor`].
    pub fn param(&mut self, name: &str, shape: &[usize], fans: Fans, initializer: Initializer) -> Result<Param> {
        let shape = Shape::new(shape)?;
        if self.placeholders {
            return self.placeholder(shape, self.dtype).map(Param::new);
        }
        self.path.push(name.into());
        let stream = self.stream();
        self.path.pop();
        initializer.tensor(&shape, fans, self.dtype, &self.device, stream).map(Param::new)
    }

    /// A buffer that starts with one value everywhere, of the type that is computed in: f32 in a model of a half type.
    ///
    /// # Errors
    /// Out of memory.
    pub fn buffer(&mut self, shape: &[usize], value: f64) -> Result<Buffer> {
        let (shape, dtype) = (Shape::new(shape)?, self.dtype.computed_in());
        let value = match self.placeholders {
            true => self.placeholder(shape, dtype)?,
            false => Tensor::full(shape, value, dtype, &self.device)?,
        };
        Ok(Buffer::new(value))
    }

    fn placeholder(&self, shape: Shape, dtype: DType) -> Result<Tensor> {
        Tensor::zeros((), dtype, &self.device)?.broadcast_to(shape)
    }

    /// Builds a layer one step down the path, for inputs of this shape (without the batch axis); gives its output's shape.
    /// An error tells where it happened.
    ///
    /// # Errors
    /// Those of [`Layer::build`].
    pub fn layer<'s, L: Layer + ?Sized>(
        &mut self,
        segment: impl Into<Segment<'s>>,
        layer: &mut L,
        input: &ShapeOf<L::Input>,
    ) -> Result<ShapeOf<L::Output>> {
        self.scope(segment, |init| layer.build(input, init).map_err(|error| located(error, &init.path, layer.name())))
    }

    /// Runs something one step down the path.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn scope<'s, R>(
        &mut self,
        segment: impl Into<Segment<'s>>,
        run: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        self.path.push(segment.into());
        let result = run(self);
        self.path.pop();
        result
    }

    /// What a layer gives for inputs of this shape, found by running it on zeros: the default of [`Layer::build`].
    ///
    /// # Errors
    /// Those of the layer's forward pass.
    pub fn output_shape<L: Layer + ?Sized>(&self, layer: &L, input: &ShapeOf<L::Input>) -> Result<ShapeOf<L::Output>> {
        let zeros = Value::zeros(&input.clone().into_shapes(), self.dtype, &self.device)?;
        let output = layer.forward(L::Input::from_value(zeros)?, &Ctx::eval())?.into_value();
        SampleShape::from_shapes(&output.sample_shapes()?)
    }

    /// What a layer's [`Method`](crate::Method) gives for inputs of these shapes: it says so, or is run on zeros.
    pub(crate) fn method_shape<'s>(
        &mut self,
        segment: impl Into<Segment<'s>>,
        layer: &dyn AnyLayer,
        method: &str,
        input: &Shapes,
    ) -> Result<Shapes> {
        self.scope(segment, |init| {
            let shape = layer.method_shape(method, input).unwrap_or_else(|| {
                let zeros = Value::zeros(input, init.dtype, &init.device)?;
                layer.call_method(method, zeros, &Ctx::eval())?.sample_shapes()
            });
            shape.map_err(|error| located(error, &init.path, layer.name()))
        })
    }
}
