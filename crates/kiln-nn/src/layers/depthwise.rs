//! Convolutions of each channel by itself, alone and followed by one across channels.

use super::conv::{Conv, Moves, move_settings};
use super::setters::setters;
use super::spatial::{batch_of_one, by_axes, expect_batch, expect_sample, sample_of, sizes};
use super::weights::{Weights, weight_settings};
use crate::{Activation, Constraint, Ctx, Describe, Fans, Init, Initializer, L1L2, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, PerAxis, Result, Shape};
use serde::{Deserialize, Serialize};

/// Each channel of x (N, C, D…) convolved with `multiplier` kernels of its own: y (N, C·multiplier, P…), by W
/// (C·multiplier, 1, K…). [`DepthwiseConv1d`] and [`DepthwiseConv2d`] are its names.
///
/// Keras's `DepthwiseConv2D`; the weight is that of PyTorch's `Conv2d(C, C·multiplier, K, groups=C)`.
///
/// ```
/// use kiln_nn::{DepthwiseConv2d, Module, Sequential};
/// use kiln_tensor::{Device, Padding};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let layer = DepthwiseConv2d::new(3).stride(2).padding(Padding::Same);
/// let model = Sequential::new().push(layer).build([16, 9, 9], &Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [16, 5, 5]);
/// assert_eq!(model.parameter_count(), 16 * 9 + 16);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct DepthwiseConv<const N: usize> {
    #[module(flatten)]
    #[serde(flatten)]
    weights: Weights,
    #[module(skip)]
    #[serde(flatten)]
    moves: Moves,
    #[serde(default = "super::conv::one")]
    multiplier: usize,
}

/// A depthwise convolution of sequences (N, C, L).
pub type DepthwiseConv1d = DepthwiseConv<1>;
/// A depthwise convolution of images (N, C, H, W).
pub type DepthwiseConv2d = DepthwiseConv<2>;

impl<const N: usize> DepthwiseConv<N> {
    /// A layer with a kernel of this size, `3` or `[3, 5]`, to be built for its input.
    pub fn new(kernel: impl Into<PerAxis>) -> Self {
        DepthwiseConv { weights: Weights::default(), moves: Moves::new(kernel.into()), multiplier: 1 }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        self.make(&Shape::new(&[channels])?, init)?;
        Ok(self)
    }

    setters! {
        /// Kernels, and output channels, of each channel (Keras's `depth_multiplier`). By default 1.
        fn multiplier(self, multiplier: usize) { self.multiplier = multiplier }
    }

    move_settings!();
    weight_settings!("(C·multiplier, 1, K…)", "(C·multiplier,)");

    fn make(&mut self, input: &Shape, init: &mut Init) -> Result<()> {
        let (channels, multiplier) = (input[0], self.multiplier);
        if channels == 0 || multiplier == 0 {
            let message = format!("{channels} channels with {multiplier} kernels each: both must be above 0");
            return Err(Error::value("build", message));
        }
        let kernel = sizes::<N>("build", self.moves.kernel)?;
        let taps = kernel.iter().fold(1usize, |taps, &size| taps.saturating_mul(size));
        // As Keras counts them, from a kernel (K…, C, multiplier).
        let fans = Fans { input: taps.saturating_mul(channels), output: taps.saturating_mul(multiplier) };
        let filters = channels.saturating_mul(multiplier);
        let shape = [&[filters, 1], &kernel[..]].concat();
        self.weights.make(&shape, filters, fans, input, init)
    }
}

impl<const N: usize> Layer for DepthwiseConv<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        expect_batch::<N>("conv", x.shape())?;
        let weight =
            self.weights.built(by_axes::<N>(["DepthwiseConv1d::with_input", "DepthwiseConv2d::with_input", ""]))?;
        self.weights.convolved(&x, weight, &self.moves.options(x.dims()[1]), ctx)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        expect_sample::<N>("build", input)?;
        self.make(input, init)?;
        let weight = self.weights.built("")?.value().shape();
        sample_of(&self.moves.options(input[0]).output_shape(&batch_of_one(input)?, weight)?)
    }
}

/// A depthwise convolution and then one of size 1 across channels: nearly a [`Conv`] with a fraction of its weights and
/// operations (Sifre 2014; Chollet, Xception, 2017). [`SeparableConv1d`] and [`SeparableConv2d`] are its names.
///
/// Keras's `SeparableConv2D`: only the second has a bias and an activation. Paths are `depthwise.weight`,
/// `pointwise.weight`, `pointwise.bias`.
///
/// ```
/// use kiln_nn::{Activation, Module, SeparableConv2d, Sequential};
/// use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let layer = SeparableConv2d::new(32, 3).activation(Activation::Relu);
/// let model = Sequential::new().push(layer).build([16, 9, 9], &Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [32, 7, 7]);
/// assert_eq!(model.parameter_count(), 16 * 9 + 32 * 16 + 32); // a Conv2d has 4,640
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
#[serde(from = "Separable", into = "Separable")]
pub struct SeparableConv<const N: usize> {
    depthwise: DepthwiseConv<N>,
    pointwise: Conv<N>,
}

/// Its settings as they are written: those of the kernel are both convolutions'.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Separable {
    #[serde(flatten)]
    weights: Weights,
    filters: usize,
    #[serde(flatten)]
    moves: Moves,
    multiplier: usize,
}

impl<const N: usize> From<Separable> for SeparableConv<N> {
    fn from(Separable { weights, filters, moves, multiplier }: Separable) -> Self {
        let mut layer = SeparableConv::new(filters, moves.kernel);
        (layer.depthwise.moves, layer.depthwise.multiplier) = (moves, multiplier);
        layer.depthwise.weights.kernel_initializer = weights.kernel_initializer;
        layer.depthwise.weights.regularizers.kernel = weights.regularizers.kernel;
        layer.depthwise.weights.constraints.kernel = weights.constraints.kernel.clone();
        layer.pointwise.weights = weights;
        layer
    }
}

impl<const N: usize> From<SeparableConv<N>> for Separable {
    fn from(SeparableConv { depthwise, pointwise }: SeparableConv<N>) -> Self {
        let DepthwiseConv { moves, multiplier, .. } = depthwise;
        Separable { weights: pointwise.weights, filters: pointwise.filters, moves, multiplier }
    }
}

/// A separable convolution of sequences (N, C, L).
pub type SeparableConv1d = SeparableConv<1>;
/// A separable convolution of images (N, C, H, W).
pub type SeparableConv2d = SeparableConv<2>;

impl<const N: usize> SeparableConv<N> {
    /// A layer of this many output channels with a kernel of this size, to be built for its input.
    pub fn new(filters: usize, kernel: impl Into<PerAxis>) -> Self {
        SeparableConv { depthwise: DepthwiseConv::new(kernel).use_bias(false), pointwise: Conv::new(filters, 1) }
    }

    /// The same layer, built for inputs of so many channels.
    ///
    /// # Errors
    /// Sizes of 0, or out of memory.
    pub fn with_input(mut self, channels: usize, init: &mut Init) -> Result<Self> {
        let input = Shape::new(&[channels])?;
        init.scope("depthwise", |init| self.depthwise.make(&input, init))?;
        let between = channels.saturating_mul(self.depthwise.multiplier);
        self.pointwise = init.scope("pointwise", |init| self.pointwise.with_input(between, init))?;
        Ok(self)
    }

    setters! {
        /// Kernels of each channel in the depthwise convolution. By default 1.
        fn multiplier(self, multiplier: usize) { self.depthwise = self.depthwise.multiplier(multiplier) }

        /// Steps of the depthwise convolution. By default 1.
        fn stride(self, stride: impl Into<PerAxis>) { self.depthwise = self.depthwise.stride(stride) }

        /// Distance of the depthwise kernel's taps. By default 1.
        fn dilation(self, dilation: impl Into<PerAxis>) { self.depthwise = self.depthwise.dilation(dilation) }

        /// What is put around the input. By default nothing, `Padding::Valid`.
        fn padding(self, padding: impl Into<kiln_tensor::Padding>) { self.depthwise = self.depthwise.padding(padding) }

        /// Applied to the output.
        fn activation(self, activation: Activation) { self.pointwise = self.pointwise.activation(activation) }

        /// Whether the pointwise convolution has a bias; it has by default.
        fn use_bias(self, use_bias: bool) { self.pointwise = self.pointwise.use_bias(use_bias) }

        /// First values of both weights.
        fn kernel_initializer(self, initializer: Initializer) {
            self.depthwise = self.depthwise.kernel_initializer(initializer);
            self.pointwise = self.pointwise.kernel_initializer(initializer);
        }

        /// A penalty on both weights, added to the loss.
        fn kernel_regularizer(self, regularizer: impl Into<L1L2>) {
            let regularizer = regularizer.into();
            self.depthwise = self.depthwise.kernel_regularizer(regularizer);
            self.pointwise = self.pointwise.kernel_regularizer(regularizer);
        }

        /// What both weights are brought back to after each step.
        fn kernel_constraint(self, constraint: impl Into<Constraint>) {
            let constraint = constraint.into();
            self.depthwise = self.depthwise.kernel_constraint(constraint.clone());
            self.pointwise = self.pointwise.kernel_constraint(constraint);
        }
    }
}

impl<const N: usize> Layer for SeparableConv<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        let y = ctx.layer("depthwise", &self.depthwise, x)?;
        ctx.layer("pointwise", &self.pointwise, &y)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let between = init.layer("depthwise", &mut self.depthwise, input)?;
        init.layer("pointwise", &mut self.pointwise, &between)
    }
}
