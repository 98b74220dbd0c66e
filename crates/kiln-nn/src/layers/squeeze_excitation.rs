//! Channels scaled by what the whole image says.

use super::setters::setters;
use super::spatial::{expect_batch, expect_sample};
use super::weights::unbuilt;
use crate::{Activation, Conv2d, Ctx, Describe, Init, Layer, Module, Shapes, settings};
use kiln_autograd::Var;
use kiln_tensor::{Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Each channel of x (N, C, H, W) times a number that a small network computes from the means of all channels (Hu et al. 2018):
/// x · scale_activation(fc2(activation(fc1(mean of x over H and W)))).
///
/// torchvision's `SqueezeExcitation`: fc1 and fc2 are 1 × 1 convolutions of C to `squeeze` channels and back, and the activations are
/// by default ReLU and sigmoid. Paths are `fc1.weight`, `fc1.bias`, `fc2.weight`, `fc2.bias`.
///
/// ```
/// use kiln_nn::{Activation, Module, Sequential, SqueezeExcitation};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let block = SqueezeExcitation::new(4).activation(Activation::Silu);
/// let model = Sequential::new().push(block).build([16, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.parameters()[0].0, "0.fc1.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct SqueezeExcitation {
    squeeze: usize,
    activation: Activation,
    scale_activation: Activation,
    #[serde(skip)]
    fc1: Option<Conv2d>,
    #[serde(skip)]
    fc2: Option<Conv2d>,
}

impl SqueezeExcitation {
    /// With so many channels between the two convolutions, to be built for its input.
    pub fn new(squeeze: usize) -> Self {
        let (activation, scale_activation) = (Activation::Relu, Activation::Sigmoid);
        SqueezeExcitation { squeeze, activation, scale_activation, fc1: None, fc2: None }
    }

    setters! {
        /// Applied after the first convolution. By default ReLU.
        fn activation(self, activation: Activation) { self.activation = activation }

        /// Applied after the second one: its output is what channels are multiplied by. By default the sigmoid.
        fn scale_activation(self, activation: Activation) { self.scale_activation = activation }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.make(channels, init)?;
        Ok(self)
    }

    fn make(&mut self, channels: usize, init: &mut Init) -> Result<()> {
        let mut fc = |name: &str, layer: &mut Option<Conv2d>, from: usize, to: usize| {
            let layer = layer.get_or_insert_with(|| Conv2d::new(to, 1));
            init.layer(name, layer, &Shape::new(&[from, 1, 1])?).map(drop)
        };
        fc("fc1", &mut self.fc1, channels, self.squeeze)?;
        fc("fc2", &mut self.fc2, self.squeeze, channels)
    }
}

impl Layer for SqueezeExcitation {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        expect_batch::<2>("squeeze_excitation", x.shape())?;
        let (Some(fc1), Some(fc2)) = (&self.fc1, &self.fc2) else {
            return Err(unbuilt("SqueezeExcitation::with_input"));
        };
        let squeezed = self.activation.apply(&ctx.layer("fc1", fc1, x.global_avg_pool_keepdim()?)?)?;
        x.mul(&self.scale_activation.apply(&ctx.layer("fc2", fc2, squeezed)?)?)
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        expect_sample::<2>("squeeze_excitation", input)?;
        self.make(input[0], init)?;
        Ok(*input)
    }
}

impl Describe for SqueezeExcitation {
    fn spatial_axes(&self) -> Option<usize> {
        Some(2)
    }
    fn config(&self) -> Option<Json> {
        settings(self)
    }
    /// Each weight is met once a sample, by the channels' means.
    fn flops(&self, _: &Shapes) -> u64 {
        let weights = [&self.fc1, &self.fc2].into_iter().flatten().filter_map(Conv2d::weight);
        weights.map(|weight| 2 * weight.value().elements() as u64).sum()
    }
}
