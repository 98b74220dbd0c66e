//! Images made larger: by zeros around them, or by more pixels.

use super::spatial::{expect_batch, expect_sample, padding, per_axis, sizes};
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Padding, PerAxis, Result, Shape};
use serde::{Deserialize, Serialize};

/// Zeros before and after each spatial axis of x (N, C, D…). [`ZeroPad1d`] and [`ZeroPad2d`] are its names.
///
/// ```
/// use kiln_nn::{Sequential, ZeroPad2d};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(ZeroPad2d::new(1)) // on every side
///     .push(ZeroPad2d::new([(0, 1), (2, 2)])) // above and below, left and right
///     .build([3, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[1], [3, 11, 14]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct ZeroPad<const N: usize> {
    #[module(skip)]
    #[serde(with = "padding")]
    padding: Padding,
}

/// Zeros around sequences (N, C, L).
pub type ZeroPad1d = ZeroPad<1>;
/// Zeros around images (N, C, H, W).
pub type ZeroPad2d = ZeroPad<2>;

impl<const N: usize> ZeroPad<N> {
    /// So many zeros: `1` on every side, `[1, 2]` for each axis, `[(0, 1), (2, 2)]` before and after each.
    pub fn new(padding: impl Into<Padding>) -> Self {
        ZeroPad { padding: padding.into() }
    }

    fn sides(&self) -> Result<Vec<(usize, usize)>> {
        match self.padding {
            Padding::Valid => Ok(vec![(0, 0); N]),
            Padding::Explicit(sides) if sides.given().len() == 1 => Ok(vec![sides.given()[0]; N]),
            Padding::Explicit(sides) if sides.given().len() == N => Ok(sides.given().to_vec()),
            Padding::Explicit(sides) => Err(Error::shape(
                "pad",
                format!("padding {sides} is for {} spatial axes, there are {N}", sides.given().len()),
            )),
            Padding::Same => Err(Error::value("pad", "Padding::Same needs a window; give the numbers of zeros")),
        }
    }
}

impl<const N: usize> Layer for ZeroPad<N> {
    type Input = Var;
    type Output = Var;

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        expect_batch::<N>("pad", x.shape())?;
        x.pad(&self.sides()?, 0.0)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        expect_sample::<N>("pad", input)?;
        let mut dims = input.to_vec();
        for (size, (before, after)) in dims[1..].iter_mut().zip(self.sides()?) {
            *size = size.saturating_add(before).saturating_add(after);
        }
        Shape::new(&dims)
    }
}

/// x (N, C, D…) with more elements along each spatial axis, each that of the nearest below, or by linear interpolation of
/// the two around it. [`Upsample1d`] and [`Upsample2d`] are its names.
///
/// Keras's `UpSampling2D`, PyTorch's `Upsample`.
///
/// ```
/// use kiln_nn::{Sequential, Upsample2d};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Upsample2d::new(2)) // twice the size
///     .push(Upsample2d::to([20, 30]).bilinear())
///     .build([3, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3, 16, 16]);
/// assert_eq!(model.output_shapes()[1], [3, 20, 30]);
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
}

/// Sequences (N, C, L) of more elements.
pub type Upsample1d = Upsample<1>;
/// Images (N, C, H, W) of more pixels.
pub type Upsample2d = Upsample<2>;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Size {
    Times(#[serde(with = "per_axis")] PerAxis),
    To(#[serde(with = "per_axis")] PerAxis),
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Interpolation {
    #[default]
    Nearest,
    Linear,
    LinearAlignCorners,
}

impl<const N: usize> Upsample<N> {
    /// So many times the size: `2`, or `[2, 3]`.
    pub fn new(factor: impl Into<PerAxis>) -> Self {
        Upsample { size: Size::Times(factor.into()), interpolation: Interpolation::Nearest }
    }

    /// To this size: `32`, or `[32, 48]`. It may be smaller as well.
    pub fn to(size: impl Into<PerAxis>) -> Self {
        Upsample { size: Size::To(size.into()), interpolation: Interpolation::Nearest }
    }

    /// By linear interpolation along each axis, bilinear for images, where centers of pixels lie on centers: Keras's way,
    /// and PyTorch's default.
    #[must_use]
    pub fn bilinear(mut self) -> Self {
        self.interpolation = Interpolation::Linear;
        self
    }

    /// As [`bilinear`](Upsample::bilinear), where first and last elements lie on first and last: PyTorch's `align_corners`.
    #[must_use]
    pub fn align_corners(mut self) -> Self {
        self.interpolation = Interpolation::LinearAlignCorners;
        self
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
        expect_batch::<N>("upsample", x.shape())?;
        let to = numbers(&self.sizes(&x.dims()[2..])?);
        match self.interpolation {
            Interpolation::Nearest => x.upsample_nearest(to),
            Interpolation::Linear => x.upsample_bilinear(to, false),
            Interpolation::LinearAlignCorners => x.upsample_bilinear(to, true),
        }
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        expect_sample::<N>("upsample", input)?;
        Shape::new(&[&input[..1], &self.sizes(&input[1..])?].concat())
    }
}
