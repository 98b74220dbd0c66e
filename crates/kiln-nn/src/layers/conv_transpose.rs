//! Transposed convolutions.

use super::conv::{Moves, move_settings};
use super::setters::setters;
use super::spatial::{batch_of_one, by_axes, expect_batch, expect_sample, per_axis, sample_of};
use super::weights::{Weights, weight_settings};
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module, Shapes, settings};
use kiln_autograd::Var;
use kiln_tensor::{ConvOptions, PerAxis, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The gradient of a convolution with respect to its input, used forward, plus b: x (N, C, P…) becomes (N, filters, D…) with
/// D = (P − 1)·stride − padding + extent + output_padding, or P·stride for `Padding::Same`. W is (C, filters/groups, K…).
/// [`ConvTranspose1d`], [`ConvTranspose2d`] and [`ConvTranspose3d`] are its names.
///
/// Keras's `Conv2DTranspose` with the channels first; weight, sizes and paths are PyTorch's.
///
/// ```
/// use kiln_nn::{Activation, ConvTranspose2d, Sequential};
/// use kiln_tensor::{Device, Padding};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(ConvTranspose2d::new(8, 4).stride(2).padding(Padding::Same).activation(Activation::Relu))
///     .build([16, 7, 7], &Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [8, 14, 14]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct ConvTranspose<const N: usize> {
    #[module(flatten)]
    #[serde(flatten)]
    weights: Weights,
    filters: usize,
    #[module(skip)]
    #[serde(flatten)]
    moves: Moves,
    #[serde(default = "super::conv::one")]
    groups: usize,
    #[module(skip)]
    #[serde(with = "per_axis")]
    output_padding: PerAxis,
}

/// A transposed convolution of sequences (N, C, L).
pub type ConvTranspose1d = ConvTranspose<1>;
/// A transposed convolution of images (N, C, H, W).
pub type ConvTranspose2d = ConvTranspose<2>;
/// A transposed convolution of volumes (N, C, D, H, W).
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const N: usize> ConvTranspose<N> {
    /// A layer of this many output channels with a kernel of this size, `3` or `[3, 5]`, to be built for its input.
    pub fn new(filters: usize, kernel: impl Into<PerAxis>) -> Self {
        ConvTranspose {
            weights: Weights::default(),
            filters,
            moves: Moves::new(kernel.into()),
            groups: 1,
            output_padding: 0.into(),
        }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Sizes of 0, channels that the groups do not divide, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.make(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    move_settings!();

    setters! {
        /// Groups, which divide input and output channels.
        fn groups(self, groups: usize) { self.groups = groups }

        /// Elements added after each axis of the output: strides lead from several input sizes to one, this says to which to go
        /// back. By default 0.
        fn output_padding(self, output_padding: impl Into<PerAxis>) { self.output_padding = output_padding.into() }
    }

    weight_settings!("(C, filters/groups, K…)", "(filters,)");

    fn options(&self) -> ConvOptions {
        self.moves.options(self.groups).output_padding(self.output_padding)
    }

    fn make(&mut self, input: &Shape, init: &mut Init) -> Result<()> {
        self.moves.make::<N>(&mut self.weights, self.filters, self.groups, true, input, init)
    }
}

impl<const N: usize> Layer for ConvTranspose<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        expect_batch::<N>("conv_transpose", x.shape())?;
        let weight = self.weights.built(by_axes::<N>([
            "ConvTranspose1d::with_input",
            "ConvTranspose2d::with_input",
            "ConvTranspose3d::with_input",
        ]))?;
        let (w, bias) = self.weights.vars(weight, ctx);
        let y = x.conv_transpose(&w, bias.as_ref(), &self.options())?;
        let y = self.weights.activation.apply(&y)?;
        self.weights.penalize(weight, &y, ctx);
        Ok(y)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        expect_sample::<N>("build", input)?;
        self.make(input, init)?;
        let weight = self.weights.built("")?.value().shape();
        sample_of(&self.options().transposed_shape(&batch_of_one(input)?, weight)?)
    }
}

impl<const N: usize> Describe for ConvTranspose<N> {
    fn spatial_axes(&self) -> Option<usize> {
        Some(N)
    }
    fn name(&self) -> &'static str {
        by_axes::<N>(["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"])
    }
    fn config(&self) -> Option<Json> {
        settings(self)
    }
    /// Each weight meets every position of the input, which is the output of the convolution that is transposed.
    fn flops(&self, output: &Shapes) -> u64 {
        let Some(weight) = self.weight() else { return 0 };
        let weight = weight.value().shape();
        let input =
            output.one().and_then(batch_of_one).and_then(|y| self.moves.options(self.groups).output_shape(&y, weight));
        let positions = input.map_or(0, |x| x[2..].iter().product());
        2 * weight.elements() as u64 * positions as u64
    }
}
