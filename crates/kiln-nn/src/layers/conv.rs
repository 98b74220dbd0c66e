//! Convolutions.

use super::setters::setters;
use super::spatial::{batch_of_one, by_axes, expect_batch, expect_sample, padding, per_axis, sample_of, sizes};
use super::weights::{Weights, weight_settings};
use crate::{Ctx, Describe, Fans, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{ConvOptions, Error, Padding, PerAxis, Result, Shape};
use serde::{Deserialize, Serialize};

/// How a kernel moves; in a description, its fields stand beside the layer's own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Moves {
    #[serde(with = "per_axis")]
    pub(super) kernel: PerAxis,
    #[serde(with = "per_axis")]
    pub(super) stride: PerAxis,
    #[serde(with = "per_axis")]
    pub(super) dilation: PerAxis,
    #[serde(with = "padding")]
    pub(super) padding: Padding,
}

impl Moves {
    pub(super) fn new(kernel: PerAxis) -> Self {
        Moves { kernel, stride: 1.into(), dilation: 1.into(), padding: Padding::Valid }
    }

    pub(super) fn options(&self, groups: usize) -> ConvOptions {
        ConvOptions { groups, ..ConvOptions::new().stride(self.stride).dilation(self.dilation).padding(self.padding) }
    }

    /// Makes weights (filters, C/groups, K…) for samples of C channels, or, of a transposed convolution, (C, filters/groups,
    /// K…), and a bias of each filter.
    pub(super) fn make<const N: usize>(
        &self,
        weights: &mut Weights,
        filters: usize,
        groups: usize,
        transposed: bool,
        sample: &Shape,
        init: &mut Init,
    ) -> Result<()> {
        let channels = sample[0];
        if channels == 0 || filters == 0 {
            let message = format!("a layer of {channels} channels and {filters} filters: both must be above 0");
            return Err(Error::value("build", message));
        }
        if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            let message = format!("{channels} channels and {filters} filters are not divisible by {groups} groups");
            return Err(Error::value("build", message));
        }
        let (outer, inner) = if transposed { (channels, filters / groups) } else { (filters, channels / groups) };
        let kernel = sizes::<N>("build", self.kernel)?;
        let taps = kernel.iter().fold(1usize, |taps, &size| taps.saturating_mul(size));
        // As Keras counts them, from a kernel (K…, inner, outer).
        let fans = Fans { input: taps.saturating_mul(inner), output: taps.saturating_mul(outer) };
        weights.make(&[&[outer, inner], &kernel[..]].concat(), filters, fans, sample, init)
    }
}

/// The settings of a layer with [`Moves`].
macro_rules! move_settings {
    () => {
        $crate::layers::setters::setters! {
            /// Steps from one output to the next: `2`, or `[2, 1]` for each axis. By default 1.
            fn stride(self, stride: impl Into<kiln_tensor::PerAxis>) { self.moves.stride = stride.into() }

            /// Distance of the kernel's taps. By default 1.
            fn dilation(self, dilation: impl Into<kiln_tensor::PerAxis>) { self.moves.dilation = dilation.into() }

            /// What is put around the input: `Padding::Same`, `1` on every side, `[1, 2]` for each axis, or `[(0, 1), (2, 2)]`
            /// before and after each. By default nothing, `Padding::Valid`.
            fn padding(self, padding: impl Into<kiln_tensor::Padding>) { self.moves.padding = padding.into() }
        }
    };
}
pub(super) use move_settings;

/// Groups, or kernels of a channel, where a description does not say.
pub(super) fn one() -> usize {
    1
}

/// y = activation(x ∗ W + b), of x (N, C, D…), W (filters, C/groups, K…), b (filters,), with `N` spatial axes: a
/// cross-correlation, as in every framework. [`Conv1d`], [`Conv2d`] and [`Conv3d`] are its names.
///
/// Keras's `Conv2D` with the channels first: it learns the number of channels when it is built, kernels start
/// Glorot-uniform and biases at 0, and by default there is no padding. Paths and shapes are PyTorch's. Bias and activation
/// are applied in the convolution's own pass over the output.
///
/// ```
/// use kiln_nn::{Activation, Conv2d, MaxPool2d, Sequential};
/// use kiln_tensor::{Device, Padding};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Conv2d::new(96, 11).stride(4).padding(Padding::Same).activation(Activation::Relu))
///     .push(MaxPool2d::new(3).stride(2))
///     .push(Conv2d::new(32, [1, 3]).use_bias(false))
///     .build([3, 224, 224], &Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [96, 56, 56]);
/// assert_eq!(model.output_shapes()[2], [32, 27, 25]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct Conv<const N: usize> {
    #[module(flatten)]
    #[serde(flatten)]
    pub(super) weights: Weights,
    pub(super) filters: usize,
    #[module(skip)]
    #[serde(flatten)]
    moves: Moves,
    #[serde(default = "one")]
    groups: usize,
}

/// A convolution of sequences (N, C, L).
pub type Conv1d = Conv<1>;
/// A convolution of images (N, C, H, W).
pub type Conv2d = Conv<2>;
/// A convolution of volumes (N, C, D, H, W).
pub type Conv3d = Conv<3>;

impl<const N: usize> Conv<N> {
    /// A layer of this many output channels with a kernel of this size, `3` or `[3, 5]`, to be built for its input.
    pub fn new(filters: usize, kernel: impl Into<PerAxis>) -> Self {
        Conv { weights: Weights::default(), filters, moves: Moves::new(kernel.into()), groups: 1 }
    }

    /// A layer of these sizes, built at once: `Conv2d::with_sizes(3, 64, 7, &mut init)?`.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_sizes(channels: usize, filters: usize, kernel: impl Into<PerAxis>, init: &mut Init) -> Result<Self> {
        Conv::new(filters, kernel).with_input(channels, init)
    }

    /// The same layer, built for inputs of so many channels: `Conv2d::new(64, 7).stride(2).with_input(3, &mut init)?`.
    ///
    /// # Errors
    /// Sizes of 0, channels that the groups do not divide, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.make(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    move_settings!();

    setters! {
        /// Groups, which divide input and output channels: group g of the outputs sees group g of the inputs alone.
        fn groups(self, groups: usize) { self.groups = groups }
    }

    weight_settings!("(filters, C/groups, K…)", "(filters,)");

    /// Makes the weights for a sample whose first axis counts channels.
    fn make(&mut self, input: &Shape, init: &mut Init) -> Result<()> {
        self.moves.make::<N>(&mut self.weights, self.filters, self.groups, false, input, init)
    }
}

impl<const N: usize> Layer for Conv<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        expect_batch::<N>("conv", x.shape())?;
        let weight =
            self.weights.built(by_axes::<N>(["Conv1d::with_sizes", "Conv2d::with_sizes", "Conv3d::with_sizes"]))?;
        self.weights.convolved(&x, weight, &self.moves.options(self.groups), ctx)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        expect_sample::<N>("build", input)?;
        self.make(input, init)?;
        let weight = self.weights.built("")?.value().shape();
        sample_of(&self.moves.options(self.groups).output_shape(&batch_of_one(input)?, weight)?)
    }
}
