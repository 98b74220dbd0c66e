//! The part of a transformer block that looks at each step by itself.

use crate::layers::setters::setters;
use crate::layers::weights::unbuilt;
use crate::{Activation, Ctx, Dense, Describe, Dropout, Init, Initializer, Layer, Module, Shapes, settings};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// y = linear2(dropout(activation(linear1(x)))) of x (…, width): a dense layer to `hidden` units and one back to the width (Vaswani et
/// al. 2017). With [`gated`](FeedForward::gated), y = linear2(dropout(activation(gate(x)) · linear1(x))), which is SwiGLU with
/// [`Activation::Silu`] and GEGLU with [`Activation::Gelu`] (Shazeer 2020).
///
/// Paths are `linear1.weight` (hidden, width), `linear1.bias`, `linear2.weight` (width, hidden), `linear2.bias` as in PyTorch's
/// `TransformerEncoderLayer`, and `gate.weight`, `gate.bias`. (Llama's `gate_proj`, `up_proj` and `down_proj` are `gate`, `linear1` and
/// `linear2`.)
///
/// ```
/// use kiln_nn::{Activation, FeedForward, Module, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let swiglu = FeedForward::new(128).activation(Activation::Silu).gated(true).use_bias(false);
/// let model = Sequential::new().push(swiglu).build([10, 48], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.parameter_count(), 3 * 128 * 48);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct FeedForward {
    #[serde(skip)]
    gate: Option<Dense>,
    #[serde(skip)]
    linear1: Option<Dense>,
    #[serde(skip)]
    linear2: Option<Dense>,
    hidden: usize,
    activation: Activation,
    gated: bool,
    use_bias: bool,
    dropout: f64,
    #[module(skip)]
    kernel_initializer: Initializer,
}

impl FeedForward {
    /// With so many hidden units, to be built for its input. The activation is ReLU, as in PyTorch.
    pub fn new(hidden: usize) -> Self {
        FeedForward {
            gate: None,
            linear1: None,
            linear2: None,
            hidden,
            activation: Activation::Relu,
            gated: false,
            use_bias: true,
            dropout: 0.0,
            kernel_initializer: Initializer::GlorotUniform,
        }
    }

    setters! {
        /// Applied to the hidden units; with [`gated`](FeedForward::gated), to the gate. By default ReLU.
        fn activation(self, activation: Activation) { self.activation = activation }

        /// Whether the hidden units are multiplied by those of a third dense layer, `gate`, after the activation. By default not.
        fn gated(self, gated: bool) { self.gated = gated }

        /// Whether the dense layers have biases; they have by default.
        fn use_bias(self, use_bias: bool) { self.use_bias = use_bias }

        /// In training, which part of the hidden units is dropped. By default 0.
        fn dropout(self, rate: f64) { self.dropout = rate }

        /// First values of the weights. By default Glorot-uniform.
        fn kernel_initializer(self, initializer: Initializer) { self.kernel_initializer = initializer }
    }

    /// The same layer, built for inputs whose last axis has this size.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, width: usize, init: &mut Init) -> Result<Self> {
        self.build(&Shape::new(&[width])?, init)?;
        Ok(self)
    }

    fn dense(&self, units: usize, activation: Activation) -> Dense {
        let dense = Dense::new(units).activation(activation).use_bias(self.use_bias);
        dense.kernel_initializer(self.kernel_initializer)
    }
}

impl Layer for FeedForward {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let (Some(linear1), Some(linear2)) = (&self.linear1, &self.linear2) else {
            return Err(unbuilt("FeedForward::with_input"));
        };
        let hidden = match &self.gate {
            Some(gate) => ctx.layer("gate", gate, &x)?.mul(&ctx.layer("linear1", linear1, x)?)?,
            None => ctx.layer("linear1", linear1, x)?,
        };
        let hidden = ctx.layer("dropout", &Dropout::new(self.dropout), hidden)?;
        ctx.layer("linear2", linear2, hidden)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let Some(&width) = input.last() else {
            return Err(Error::shape("build", "an input of at least one axis beside the batch's is expected"));
        };
        init.layer("dropout", &mut Dropout::new(self.dropout), input)?;
        let first = if self.gated { Activation::Linear } else { self.activation };
        if self.gated {
            let gate = self.dense(self.hidden, self.activation);
            init.layer("gate", self.gate.get_or_insert(gate), input)?;
        }
        let (linear1, linear2) = (self.dense(self.hidden, first), self.dense(width, Activation::Linear));
        let hidden = init.layer("linear1", self.linear1.get_or_insert(linear1), input)?;
        init.layer("linear2", self.linear2.get_or_insert(linear2), &hidden)
    }
}

impl Describe for FeedForward {
    fn config(&self) -> Option<Json> {
        settings(self)
    }
    /// Each weight is met once at each position.
    fn flops(&self, output: &Shapes) -> u64 {
        let Some(positions) = output.one().ok().and_then(|shape| shape.split_last()).map(|(_, leading)| leading) else {
            return 0;
        };
        let layers = [&self.gate, &self.linear1, &self.linear2].into_iter().flatten();
        let weights: usize = layers.filter_map(Dense::weight).map(|weight| weight.value().elements()).sum();
        2 * weights as u64 * positions.iter().product::<usize>() as u64
    }
}
