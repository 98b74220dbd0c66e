//! Maps in another size.

use super::spatial::{expect_batch, expect_sample, per_axis, sizes};
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, PerAxis, Result, Shape};
use serde::{Deserialize, Serialize};

/// x (N, C, D…) with more elements along each spatial axis, each that of the nearest below, or by linear or cubic interpolation of
/// those around it. [`Upsample1d`], [`Upsample2d`] and [`Upsample3d`] are its names.
///
/// Keras's `UpSampling2D`, PyTorch's `Upsample` with its modes `nearest`, `linear` (`bilinear`, `trilinear`) and `bicubic`.
///
/// ```
/// use kiln_nn::{Sequential, Upsample2d};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Upsample2d::new(2)) // twice the size
///     .push(Upsample2d::to([20, 30]).bilinear())
///     .push(Upsample2d::new([2, 1]).bicubic().align_corners())
///     .build([3, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3, 16, 16]);
/// assert_eq!(model.output_shapes()[1], [3, 20, 30]);
/// assert_eq!(model.output_shapes()[2], [3, 40, 30]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct Upsample<const N: usize> {
    #[module(skip)]
    size: Size,
    #[module(skip)]
    #[serde(default)]
    interpolation: Interpolation,
    #[serde(default)]
    align_corners: bool,
}

/// Sequences (N, C, L) of more elements.
pub type Upsample1d = Upsample<1>;
/// Images (N, C, H, W) of more pixels.
pub type Upsample2d = Upsample<2>;
/// Volumes (N, C, D, H, W) of more elements.
pub type Upsample3d = Upsample<3>;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "SizeForm")]
enum Size {
    Times(#[serde(with = "per_axis")] PerAxis),
    To(#[serde(with = "per_axis")] PerAxis),
}

/// As it is read: `2`, `{"times": 2}` or `{"to": 32}`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a factor, or the size as `to`, is expected")]
enum SizeForm {
    Factor(#[serde(with = "per_axis")] PerAxis),
    Times {
        #[serde(with = "per_axis")]
        times: PerAxis,
    },
    To {
        #[serde(with = "per_axis")]
        to: PerAxis,
    },
}

impl From<SizeForm> for Size {
    fn from(form: SizeForm) -> Self {
        match form {
            SizeForm::Factor(times) | SizeForm::Times { times } => Size::Times(times),
            SizeForm::To { to } => Size::To(to),
        }
    }
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Interpolation {
    #[default]
    Nearest,
    Linear,
    Cubic,
}

impl<const N: usize> Upsample<N> {
    /// So many times the size: `2`, or `[2, 3]`.
    pub fn new(factor: impl Into<PerAxis>) -> Self {
        Upsample { size: Size::Times(factor.into()), interpolation: Interpolation::Nearest, align_corners: false }
    }

    /// To this size: `32`, or `[32, 48]`. It may be smaller as well.
    pub fn to(size: impl Into<PerAxis>) -> Self {
        Upsample { size: Size::To(size.into()), interpolation: Interpolation::Nearest, align_corners: false }
    }

    /// By linear interpolation along each axis, bilinear for images and trilinear for volumes, where centers of pixels lie on
    /// centers: Keras's way, and PyTorch's default.
    #[must_use]
    pub fn bilinear(mut self) -> Self {
        self.interpolation = Interpolation::Linear;
        self
    }

    /// By cubic convolution along each axis, bicubic for images, as [`Var::upsample_bicubic`](kiln_autograd::Var::upsample_bicubic):
    /// PyTorch's `bicubic`. Keras's has another slope parameter, −0.5.
    #[must_use]
    pub fn bicubic(mut self) -> Self {
        self.interpolation = Interpolation::Cubic;
        self
    }

    /// First and last elements lie on first and last, with [`bilinear`](Upsample::bilinear) or [`bicubic`](Upsample::bicubic):
    /// PyTorch's `align_corners`. The nearest element has no such alignment: that is an error when the layer is built or run.
    #[must_use]
    pub fn align_corners(mut self) -> Self {
        self.align_corners = true;
        self
    }

    fn check(&self) -> Result<()> {
        if self.align_corners && matches!(self.interpolation, Interpolation::Nearest) {
            let message = "align_corners needs an interpolation: add `.bilinear()` or `.bicubic()`";
            return Err(Error::value("upsample", message));
        }
        Ok(())
    }

    /// The sizes for positions of these sizes.
    fn sizes(&self, from: &[usize]) -> Result<Vec<usize>> {
        match self.size {
            Size::To(to) => sizes::<N>("upsample", to),
            Size::Times(factor) => {
                let factors = sizes::<N>("upsample", factor)?;
                Ok(from.iter().zip(factors).map(|(size, factor)| size.saturating_mul(factor)).collect())
            }
        }
    }
}

/// The sizes of axes as one asks for them.
fn numbers(sizes: &[usize]) -> PerAxis {
    match *sizes {
        [a] => [a].into(),
        [a, b] => [a, b].into(),
        [a, b, c, ..] => [a, b, c].into(),
        [] => 1.into(),
    }
}

impl<const N: usize> Layer for Upsample<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        self.check()?;
        expect_batch::<N>("upsample", x.shape())?;
        let to = numbers(&self.sizes(&x.dims()[2..])?);
        match self.interpolation {
            Interpolation::Nearest => x.upsample_nearest(to),
            Interpolation::Linear => x.upsample_bilinear(to, self.align_corners),
            Interpolation::Cubic => x.upsample_bicubic(to, self.align_corners),
        }
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        self.check()?;
        expect_sample::<N>("upsample", input)?;
        Shape::new(&[&input[..1], &self.sizes(&input[1..])?].concat())
    }
}
