//! Keras's fully connected layer.

use super::linear::{affine, projection};
use super::weights::{Weights, weight_settings};
use crate::{Ctx, Describe, Fans, Init, Layer, Method, Module, Value};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// y = activation(x · Wᵀ + b), of x (…, in), W (out, in), b (out,).
///
/// Keras's `Dense`: it learns the size of its input when it is built, kernels start Glorot-uniform and biases at 0.
/// Paths and shapes are PyTorch's, `weight` and `bias` (Keras's `kernel` is the transposed weight).
///
/// A last layer of many units, linear or with a softmax, leaves its output to a loss that can do without it: [`Projection`](crate::Projection).
///
/// ```
/// use kiln_nn::{Activation, Dense, Initializer};
/// let layer = Dense::new(128).activation(Activation::Relu).kernel_initializer(Initializer::HeNormal);
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings)]
pub struct Dense {
    #[module(flatten)]
    #[serde(flatten)]
    weights: Weights,
    units: usize,
}

impl Dense {
    /// A layer of this many outputs, to be built for its input.
    pub fn new(units: usize) -> Self {
        Dense { weights: Weights::default(), units }
    }

    /// A layer of these sizes, built at once.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_sizes(inputs: usize, units: usize, init: &mut Init) -> Result<Self> {
        Dense::new(units).with_input(inputs, init)
    }

    /// The same layer, built for inputs of this size: `Dense::new(10).use_bias(false).with_input(128, &mut init)?`.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, inputs: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[inputs])?, init)?;
        Ok(self)
    }

    weight_settings!("(out, in)", "(out,)");

    /// [`Dense::transposed`] as a method, for [`Graph::call_with`](crate::Graph::call_with): the decoder of an autoencoder whose
    /// encoder is this layer (tied weights).
    pub const TRANSPOSED: Method<Dense> =
        Method::new("transposed", |dense, x, ctx| dense.transposed(&x.var()?, ctx).map(Value::from));

    /// x · W, of x (…, out): (…, in), without bias and activation.
    ///
    /// # Errors
    /// A layer that is not built; x of another size.
    pub fn transposed(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let weight = self.weights.built("Dense::with_sizes")?;
        x.matmul(&weight.var(ctx))
    }
}

impl Layer for Dense {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let weight = self.weights.built("Dense::with_sizes")?;
        let y = affine(&x, weight, self.weights.bias.as_ref(), self.weights.activation, ctx)?;
        self.weights.penalize(weight, &y, ctx);
        Ok(y)
    }

    fn forward_value(&self, x: Var, ctx: &Ctx) -> Result<Value> {
        let weight = self.weights.built("Dense::with_sizes")?;
        if self.weights.regularizers.activity.is_none()
            && let Some(y) = projection(&x, weight, self.weights.bias.as_ref(), self.weights.activation, ctx)?
        {
            self.weights.penalize_weights(weight, ctx);
            return Ok(y);
        }
        self.forward(x, ctx).map(Value::from)
    }

    fn methods() -> Vec<Method<Self>> {
        vec![Dense::TRANSPOSED]
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let Some((&inputs, leading)) = input.split_last() else {
            return Err(Error::shape("build", "a dense layer needs an input of at least one axis beside the batch's"));
        };
        if inputs == 0 || self.units == 0 {
            return Err(Error::value(
                "build",
                format!("a layer of {inputs} inputs and {} units: both must be above 0", self.units),
            ));
        }
        let fans = Fans { input: inputs, output: self.units };
        self.weights.make(&[self.units, inputs], self.units, fans, input, init)?;
        let mut dims = leading.to_vec();
        dims.push(self.units);
        Shape::new(&dims)
    }
}
