//! First values: initializers, and the builder that hands out parameters.

use crate::context::located;
use crate::streams::Draws;
use crate::value::{FromValue, IntoValue, SampleShape, Shapes, Value};
use crate::{AnyLayer, Buffer, Ctx, Layer, Param, Path, Segment, ShapeOf};
use kiln_math::{Purpose, RandomStream, draws};
use kiln_tensor::{DType, Device, Element, Error, Result, Shape, Tensor};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// How many inputs an output of a layer sums, and how many outputs an input reaches: what initializers scale by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fans {
    /// Inputs per output; times the kernel's positions in a convolution.
    pub input: usize,
    /// Outputs per input; times the kernel's positions in a convolution.
    pub output: usize,
}

/// Initializers, by Keras's names and formulas.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// Uniform in ±√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010; Xavier in PyTorch). Keras's default for kernels.
    GlorotUniform,
    /// Truncated normal of variance 2 / (fan_in + fan_out).
    GlorotNormal,
    /// Uniform in ±√(6 / fan_in) (He et al. 2015; Kaiming in PyTorch): for ReLU.
    HeUniform,
    /// Truncated normal of variance 2 / fan_in.
    HeNormal,
    /// Uniform in ±√(3 / fan_in) (LeCun et al. 1998).
    LecunUniform,
    /// Truncated normal of variance 1 / fan_in: for SELU.
    LecunNormal,
    /// Uniform in ±1/√fan_in: PyTorch's default for the weights and biases of `Linear` and convolutions.
    FanInUniform,
    /// Uniform in [low, high).
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end, excluded.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal, drawn again where further than two standard deviations from the mean. Its variance is therefore 0.774 of
    /// `std²`; the Glorot, He and LeCun normals correct for that, as in Keras.
    TruncatedNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation before the truncation.
        std: f64,
    },
    /// Orthonormal vectors along the shorter side of the matrix (first axis, the others) (Saxe et al. 2014). Keras's default
    /// for recurrent kernels.
    Orthogonal,
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this value.
    Constant(f64),
}

/// Standard deviation of the standard normal distribution truncated at ±2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// A tensor of first values.
    ///
    /// # Errors
    /// Parameters that make no distribution, a dtype that is not a float type, out of memory.
    pub fn tensor(
        self,
        shape: &Shape,
        fans: Fans,
        dtype: DType,
        device: &Device,
        stream: RandomStream,
    ) -> Result<Tensor> {
        // Half types are drawn in f32 and rounded.
        let drawn = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        self.draw(shape, fans, drawn, device, stream)?.to_dtype(dtype)
    }

    fn draw(self, shape: &Shape, fans: Fans, dtype: DType, device: &Device, stream: RandomStream) -> Result<Tensor> {
        use Initializer::*;
        let (fan_in, fan_out) = (fans.input.max(1) as f64, fans.output.max(1) as f64);
        let uniform = |bound: f64| Tensor::uniform(shape, -bound, bound, dtype, device, stream);
        let truncated = |std: f64| truncated_normal(shape, 0.0, std / TRUNCATED_STD, dtype, device, stream);
        match self {
            GlorotUniform => uniform((6.0 / (fan_in + fan_out)).sqrt()),
            GlorotNormal => truncated((2.0 / (fan_in + fan_out)).sqrt()),
            HeUniform => uniform((6.0 / fan_in).sqrt()),
            HeNormal => truncated((2.0 / fan_in).sqrt()),
            LecunUniform => uniform((3.0 / fan_in).sqrt()),
            LecunNormal => truncated((1.0 / fan_in).sqrt()),
            FanInUniform => uniform(1.0 / fan_in.sqrt()),
            Uniform { low, high } if low <= high && (high - low).is_finite() => {
                Tensor::uniform(shape, low, high, dtype, device, stream)
            }
            Normal { mean, std } if mean.is_finite() && std >= 0.0 && std.is_finite() => {
                Tensor::normal(shape, mean, std, dtype, device, stream)
            }
            TruncatedNormal { mean, std } if mean.is_finite() && std >= 0.0 && std.is_finite() => {
                truncated_normal(shape, mean, std, dtype, device, stream)
            }
            Uniform { .. } | Normal { .. } | TruncatedNormal { .. } => Err(Error::value(
                "initializer",
                format!("{self:?} is an invalid distribution: finite numbers, low ≤ high and std ≥ 0 are needed"),
            )),
            Orthogonal => crate::orthogonal::orthogonal(shape, dtype, device, stream),
            Zeros => Tensor::zeros(shape, dtype, device),
            Ones => Tensor::ones(shape, dtype, device),
            Constant(value) => Tensor::full(shape, value, dtype, device),
        }
    }
}

/// Drawn on the host, in order: how many draws an element takes depends on the numbers, and this runs once.
fn truncated_normal(
    shape: &Shape,
    mean: f64,
    std: f64,
    dtype: DType,
    device: &Device,
    stream: RandomStream,
) -> Result<Tensor> {
    fn draw<T: Element>(
        shape: &Shape,
        mean: f64,
        std: f64,
        device: &Device,
        mut stream: RandomStream,
    ) -> Result<Tensor> {
        let mut next = move || loop {
            let (a, b) = if T::DTYPE == DType::F64 {
                draws::normal_pair_f64(stream.next_u64(), stream.next_u64())
            } else {
                let (a, b) = draws::normal_pair(stream.next_u32(), stream.next_u32());
                (f64::from(a), f64::from(b))
            };
            if let Some(inside) = [a, b].into_iter().find(|z| z.abs() < 2.0) {
                return mean + std * inside;
            }
        };
        Tensor::write_with(shape, device, |values: &mut [T]| {
            values.iter_mut().for_each(|value| *value = T::from_f64(next()));
            Ok(())
        })
    }
    match dtype {
        DType::F64 => draw::<f64>(shape, mean, std, device, stream),
        _ => draw::<f32>(shape, mean, std, device, stream),
    }
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

    /// What a layer's [`Method`](crate::Method) gives for inputs of these shapes, found by running it on zeros.
    pub(crate) fn method_shape<'s>(
        &mut self,
        segment: impl Into<Segment<'s>>,
        layer: &dyn AnyLayer,
        method: &str,
        input: &Shapes,
    ) -> Result<Shapes> {
        self.scope(segment, |init| {
            let zeros = Value::zeros(input, init.dtype, &init.device)?;
            let output = layer.call_method(method, zeros, &Ctx::eval());
            output.map_err(|error| located(error, &init.path, layer.name()))?.sample_shapes()
        })
    }
}
