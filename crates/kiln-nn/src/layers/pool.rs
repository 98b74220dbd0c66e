//! Pooling over windows.

use super::setters::setters;
use super::spatial::{batch_of_one, expect_batch, expect_sample, padding, per_axis, sample_of};
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Padding, PerAxis, PoolOptions, Result, Shape};
use serde::{Deserialize, Serialize};

/// [`PoolOptions`] as they are written in a description.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pooling {
    #[serde(with = "per_axis")]
    kernel: PerAxis,
    #[serde(with = "per_axis::optional", default, skip_serializing_if = "Option::is_none")]
    stride: Option<PerAxis>,
    #[serde(with = "per_axis")]
    dilation: PerAxis,
    #[serde(with = "padding")]
    padding: Padding,
    ceil: bool,
    count_include_pad: bool,
}

impl Pooling {
    fn new(kernel: PerAxis) -> Self {
        let PoolOptions { kernel, stride, dilation, padding, ceil, count_include_pad } = PoolOptions::new(kernel);
        Pooling { kernel, stride, dilation, padding, ceil, count_include_pad }
    }

    fn options(&self) -> PoolOptions {
        let Pooling { kernel, stride, dilation, padding, ceil, count_include_pad } = *self;
        PoolOptions { kernel, stride, dilation, padding, ceil, count_include_pad }
    }

    /// The shape of a sample's output.
    fn output<const N: usize>(&self, operation: &'static str, sample: &Shape) -> Result<Shape> {
        expect_sample::<N>(operation, sample)?;
        let batch = batch_of_one(sample)?;
        let sizes = self.options().resolve(operation, &batch)?.output_sizes(operation, &batch)?;
        sample_of(&kiln_tensor::Window::shape(&batch[..2], sizes, N)?)
    }
}

/// The settings of a pooling layer.
macro_rules! pool_settings {
    () => {
        /// Windows of this size, `2` or `[2, 3]`, side by side unless a stride is set.
        pub fn new(kernel: impl Into<PerAxis>) -> Self {
            Self::of(Pooling::new(kernel.into()))
        }

        setters! {
            /// Steps from one window to the next. By default the window's size.
            fn stride(self, stride: impl Into<PerAxis>) { self.pooling.stride = Some(stride.into()) }

            /// What is put around the input: `Padding::Same`, `1` on every side, `[1, 2]` for each axis, or `[(0, 1), (2, 2)]`
            /// before and after each. By default nothing, `Padding::Valid`.
            fn padding(self, padding: impl Into<Padding>) { self.pooling.padding = padding.into() }

            /// Whether a last window may reach past the end, as PyTorch's `ceil_mode`. By default it may not.
            fn ceil(self, ceil: bool) { self.pooling.ceil = ceil }
        }
    };
}

/// A pooling layer, by what it computes of a batch x; errors call it by the operation's name.
macro_rules! pool_layer {
    ($name:ident, $operation:literal, |$layer:ident, $x:ident| $pooled:expr) => {
        impl<const N: usize> Layer for $name<N> {
            type Input = Var;
            type Output = Var;

            fn forward(&self, $x: Var, _: &Ctx) -> Result<Var> {
                expect_batch::<N>($operation, $x.shape())?;
                let $layer = self;
                $pooled
            }

            fn mask(&self) -> MaskRule {
                MaskRule::Drop
            }

            fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
                self.pooling.output::<N>($operation, input)
            }
        }
    };
}

/// The largest element of each window of x (N, C, D…). [`MaxPool1d`], [`MaxPool2d`] and [`MaxPool3d`] are its names.
///
/// ```
/// use kiln_nn::{MaxPool2d, Sequential};
/// use kiln_tensor::{Device, Padding};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(MaxPool2d::new(2))
///     .push(MaxPool2d::new(3).stride(2).padding(Padding::Same))
///     .build([8, 28, 28], &Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[1], [8, 7, 7]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct MaxPool<const N: usize> {
    #[module(skip)]
    #[serde(flatten)]
    pooling: Pooling,
}

/// Maxima of sequences (N, C, L).
pub type MaxPool1d = MaxPool<1>;
/// Maxima of images (N, C, H, W).
pub type MaxPool2d = MaxPool<2>;
/// Maxima of volumes (N, C, D, H, W).
pub type MaxPool3d = MaxPool<3>;

impl<const N: usize> MaxPool<N> {
    fn of(pooling: Pooling) -> Self {
        MaxPool { pooling }
    }

    pool_settings!();

    setters! {
        /// Distance of a window's elements. By default 1.
        fn dilation(self, dilation: impl Into<PerAxis>) { self.pooling.dilation = dilation.into() }
    }
}

pool_layer!(MaxPool, "max_pool", |layer, x| x.max_pool(&layer.pooling.options()));

/// The mean of each window of x (N, C, D…). [`AvgPool1d`], [`AvgPool2d`] and [`AvgPool3d`] are its names.
///
/// Explicit padding counts as zeros unless [`count_include_pad`](AvgPool::count_include_pad) says otherwise, as in PyTorch;
/// `Padding::Same` never counts, as in Keras.
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct AvgPool<const N: usize> {
    #[module(skip)]
    #[serde(flatten)]
    pooling: Pooling,
}

/// Means of sequences (N, C, L).
pub type AvgPool1d = AvgPool<1>;
/// Means of images (N, C, H, W).
pub type AvgPool2d = AvgPool<2>;
/// Means of volumes (N, C, D, H, W).
pub type AvgPool3d = AvgPool<3>;

impl<const N: usize> AvgPool<N> {
    fn of(pooling: Pooling) -> Self {
        AvgPool { pooling }
    }

    pool_settings!();

    setters! {
        /// Whether explicit padding counts as zeros. By default it does.
        fn count_include_pad(self, count: bool) { self.pooling.count_include_pad = count }
    }
}

pool_layer!(AvgPool, "avg_pool", |layer, x| x.avg_pool(&layer.pooling.options()));

/// (Σ xᵖ)^(1/p) over each window of x (N, C, D…), PyTorch's `LPPool2d`: the sum for p = 1, closer to the maximum the larger
/// p is. [`LpPool1d`] and [`LpPool2d`] are its names.
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct LpPool<const N: usize> {
    p: f64,
    #[module(skip)]
    #[serde(flatten)]
    pooling: Pooling,
}

/// Norms of parts of sequences (N, C, L).
pub type LpPool1d = LpPool<1>;
/// Norms of parts of images (N, C, H, W).
pub type LpPool2d = LpPool<2>;

impl<const N: usize> LpPool<N> {
    fn of(pooling: Pooling) -> Self {
        LpPool { p: 2.0, pooling }
    }

    pool_settings!();

    setters! {
        /// The power p, above 0. By default 2.
        fn power(self, p: f64) { self.p = p }
    }
}

pool_layer!(LpPool, "lp_pool", |layer, x| x.lp_pool(layer.p, &layer.pooling.options()));
