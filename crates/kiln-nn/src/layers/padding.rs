//! Zeros around maps, and maps without their borders.

use super::spatial::{expect_batch, expect_sample, padding};
use crate::{Ctx, Describe, Init, Layer, LayerPrecision, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Padding, Result, Shape};
use serde::{Deserialize, Serialize};

/// The numbers before and after each of `N` axes, and what they are called.
fn sides<const N: usize>(
    operation: &'static str,
    [setting, elements]: [&str; 2],
    given: Padding,
) -> Result<Vec<(usize, usize)>> {
    match given {
        Padding::Valid => Ok(vec![(0, 0); N]),
        Padding::Explicit(sides) if sides.given().len() == 1 => Ok(vec![sides.given()[0]; N]),
        Padding::Explicit(sides) if sides.given().len() == N => Ok(sides.given().to_vec()),
        Padding::Explicit(sides) => {
            let message = format!("{setting} {sides} is for {} spatial axes, there are {N}", sides.given().len());
            Err(Error::shape(operation, message))
        }
        Padding::Same => {
            let message = format!("Padding::Same needs a window; give the numbers of {elements}");
            Err(Error::value(operation, message))
        }
    }
}

/// Zeros before and after each spatial axis of x (N, C, D…). [`ZeroPad1d`], [`ZeroPad2d`] and [`ZeroPad3d`] are its names.
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
/// Zeros around volumes (N, C, D, H, W).
pub type ZeroPad3d = ZeroPad<3>;

impl<const N: usize> ZeroPad<N> {
    /// So many zeros: `1` on every side, `[1, 2]` for each axis, `[(0, 1), (2, 2)]` before and after each.
    pub fn new(padding: impl Into<Padding>) -> Self {
        ZeroPad { padding: padding.into() }
    }

    fn sides(&self) -> Result<Vec<(usize, usize)>> {
        sides::<N>("pad", ["padding", "zeros"], self.padding)
    }
}

impl<const N: usize> Layer for ZeroPad<N> {
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

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

/// x (N, C, D…) without so many elements before and after each spatial axis (Keras's `Cropping2D`). [`Cropping1d`], [`Cropping2d`] and
/// [`Cropping3d`] are its names.
///
/// ```
/// use kiln_nn::{Cropping2d, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new()
///     .push(Cropping2d::new([(1, 0), (2, 3)])) // above and below, left and right
///     .build([3, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3, 7, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Debug, Serialize, Deserialize)]
#[describe(settings, spatial)]
pub struct Cropping<const N: usize> {
    #[module(skip)]
    #[serde(with = "padding")]
    cropping: Padding,
}

/// Sequences (N, C, L) without their ends.
pub type Cropping1d = Cropping<1>;
/// Images (N, C, H, W) without their borders.
pub type Cropping2d = Cropping<2>;
/// Volumes (N, C, D, H, W) without their borders.
pub type Cropping3d = Cropping<3>;

impl<const N: usize> Cropping<N> {
    /// So many elements: `1` on every side, `[1, 2]` for each axis, `[(0, 1), (2, 2)]` before and after each.
    pub fn new(cropping: impl Into<Padding>) -> Self {
        Cropping { cropping: cropping.into() }
    }

    fn sides(&self) -> Result<Vec<(usize, usize)>> {
        sides::<N>("cropping", ["cropping", "elements"], self.cropping)
    }

    /// The sizes that are left of maps of these sizes.
    fn left(&self, sizes: &[usize]) -> Result<Vec<usize>> {
        let left = sizes.iter().zip(self.sides()?).zip(1..).map(|((&size, (before, after)), axis)| {
            size.checked_sub(before.saturating_add(after)).filter(|&left| left > 0).ok_or_else(|| {
                let message = format!(
                    "{before} and {after} elements are to be cropped from the ends of spatial axis {axis}, which has \
                     {size}: nothing would be left"
                );
                Error::shape("cropping", message)
            })
        });
        left.collect()
    }
}

impl<const N: usize> Layer for Cropping<N> {
    type Input = Var;
    type Output = Var;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        expect_batch::<N>("cropping", x.shape())?;
        self.left(&x.dims()[2..])?;
        x.crop(&self.sides()?)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        expect_sample::<N>("cropping", input)?;
        Shape::new(&[&input[..1], &self.left(&input[1..])?].concat())
    }
}
