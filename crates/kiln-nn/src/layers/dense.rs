//! Keras's fully connected layer.

use super::linear::affine;
use crate::{Activation, Ctx, Fans, Init, Initializer, L1L2, Layer, Module, Param};
use kiln_autograd::Var;
use kiln_tensor::{Error, ErrorKind, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// y = activation(x · Wᵀ + b), of x (…, in), W (out, in), b (out,).
///
/// Keras's `Dense`: it learns the size of its input when it is built, kernels start Glorot-uniform and biases at 0.
/// Paths and shapes are PyTorch's, `weight` and `bias` (Keras's `kernel` is the transposed weight).
///
/// ```
/// use kiln_nn::{Activation, Dense, Initializer};
/// let layer = Dense::new(128).activation(Activation::Relu).kernel_initializer(Initializer::HeNormal);
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct Dense {
    #[serde(skip)]
    weight: Option<Param>,
    #[serde(skip)]
    bias: Option<Param>,
    units: usize,
    use_bias: bool,
    activation: Activation,
    #[module(skip)]
    kernel_initializer: Initializer,
    #[module(skip)]
    bias_initializer: Initializer,
    #[module(skip)]
    #[serde(flatten)]
    regularizers: Regularizers,
}

/// What is added to the loss, if anything.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Regularizers {
    #[serde(rename = "kernel_regularizer", skip_serializing_if = "Option::is_none")]
    kernel: Option<L1L2>,
    #[serde(rename = "bias_regularizer", skip_serializing_if = "Option::is_none")]
    bias: Option<L1L2>,
    #[serde(rename = "activity_regularizer", skip_serializing_if = "Option::is_none")]
    activity: Option<L1L2>,
}

impl Dense {
    /// A layer of this many outputs, to be built for its input.
    pub fn new(units: usize) -> Self {
        Dense {
            weight: None,
            bias: None,
            units,
            use_bias: true,
            activation: Activation::Linear,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            regularizers: Regularizers::default(),
        }
    }

    /// A layer of these sizes, built at once.
    ///
    /// # Errors
    /// Sizes of 0, or memory that cannot be had.
    pub fn with_sizes(inputs: usize, units: usize, init: &mut Init) -> Result<Self> {
        Dense::new(units).with_input(inputs, init)
    }

    /// The same layer, built for inputs of this size: `Dense::new(10).use_bias(false).with_input(128, &mut init)?`.
    ///
    /// # Errors
    /// Sizes of 0, or memory that cannot be had.
    pub fn with_input(mut self, inputs: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[inputs])?, init)?;
        Ok(self)
    }

    /// Applied to the output.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Whether there is a bias; there is by default.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// First values of the weight.
    #[must_use]
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
        self.kernel_initializer = initializer;
        self
    }

    /// First values of the bias.
    #[must_use]
    pub fn bias_initializer(mut self, initializer: Initializer) -> Self {
        self.bias_initializer = initializer;
        self
    }

    /// A penalty on the weight, added to the loss: `.kernel_regularizer(L2(0.01))`. `fit` and `evaluate` add it; a loop of
    /// one's own does with [`Ctx::penalty`].
    #[must_use]
    pub fn kernel_regularizer(mut self, regularizer: impl Into<L1L2>) -> Self {
        self.regularizers.kernel = Some(regularizer.into());
        self
    }

    /// A penalty on the bias, where there is one.
    #[must_use]
    pub fn bias_regularizer(mut self, regularizer: impl Into<L1L2>) -> Self {
        self.regularizers.bias = Some(regularizer.into());
        self
    }

    /// A penalty on the output, after the activation; divided by the number of samples in the batch, as in Keras.
    #[must_use]
    pub fn activity_regularizer(mut self, regularizer: impl Into<L1L2>) -> Self {
        self.regularizers.activity = Some(regularizer.into());
        self
    }

    /// The weight (out, in), once built.
    pub fn weight(&self) -> Option<&Param> {
        self.weight.as_ref()
    }

    /// The bias (out,), once built, where there is one.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }
}

impl Layer for Dense {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let Some(weight) = &self.weight else { return Err(unbuilt()) };
        let y = affine(x, weight, self.bias.as_ref(), self.activation, ctx)?;
        let Regularizers { kernel, bias, activity } = self.regularizers;
        if let Some(regularizer) = kernel {
            ctx.penalize(weight, regularizer);
        }
        if let (Some(bias), Some(regularizer)) = (&self.bias, bias) {
            ctx.penalize(bias, regularizer);
        }
        if let Some(regularizer) = activity {
            ctx.penalize_activity(&y, regularizer);
        }
        Ok(y)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let Some((&inputs, leading)) = input.split_last() else {
            return Err(Error::shape("build", "a dense layer needs an input of at least one axis beside the batch's"));
        };
        let Regularizers { kernel, bias, activity } = self.regularizers;
        kernel.map_or(Ok(()), |regularizer| regularizer.check("kernel_regularizer"))?;
        bias.map_or(Ok(()), |regularizer| regularizer.check("bias_regularizer"))?;
        activity.map_or(Ok(()), |regularizer| regularizer.check("activity_regularizer"))?;
        match &self.weight {
            Some(weight) if weight.value().dims()[1] != inputs => {
                return Err(Error::new(
                    ErrorKind::Build,
                    "build",
                    format!(
                        "this layer is already built, with weights {}; inputs {input} do not fit it",
                        weight.value().shape()
                    ),
                ));
            }
            Some(_) => {}
            None => {
                if inputs == 0 || self.units == 0 {
                    return Err(Error::value(
                        "build",
                        format!("a layer of {inputs} inputs and {} units: both must be above 0", self.units),
                    ));
                }
                let fans = Fans { input: inputs, output: self.units };
                let weight = init.param("weight", &[self.units, inputs], fans, self.kernel_initializer)?;
                if self.use_bias {
                    self.bias = Some(init.param("bias", &[self.units], fans, self.bias_initializer)?);
                }
                self.weight = Some(weight);
            }
        }
        let mut dims = leading.to_vec();
        dims.push(self.units);
        Shape::new(&dims)
    }

    fn config(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

#[cold]
fn unbuilt() -> Error {
    Error::new(
        ErrorKind::Build,
        "forward",
        "this layer has no weights yet, it learns its input's size when it is built: call \
         `model.build(input_shape, &device, seed)`, or make it with `Dense::with_sizes`",
    )
}
