//! Images in one size.

use super::crop::center;
use super::floats;
use crate::layers::setters::setters;
use crate::layers::spatial::{expect_batch, expect_sample};
use crate::{Ctx, Init, Layer, LayerPrecision, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Arithmetic, DType, Error, Result, Shape, Tensor, taps};
use serde::{Deserialize, Serialize};

/// Resizes images x (N, C, H, W) to this size (Keras's `Resizing`), by default bilinearly, with centers of pixels on centers.
/// Integers become f32.
///
/// Without [`antialias`](Resizing::antialias) a bilinear pixel is made of the two by two around its place, also where the image
/// gets much smaller, as in Keras; with it, of all that it covers, weighted by a triangle, as PIL and torchvision do.
///
/// ```
/// use kiln_nn::{Resizing, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let layer = Resizing::new(224, 224).antialias(true).crop_to_aspect_ratio(true);
/// let model = Sequential::new().push(layer).build([3, 480, 640], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3, 224, 224]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Resizing {
    height: usize,
    width: usize,
    #[module(skip)]
    interpolation: Interpolation,
    #[serde(default)]
    antialias: bool,
    #[serde(default)]
    crop_to_aspect_ratio: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Interpolation {
    Nearest,
    Bilinear,
}

impl Resizing {
    /// To this size.
    pub fn new(height: usize, width: usize) -> Self {
        let interpolation = Interpolation::Bilinear;
        Resizing { height, width, interpolation, antialias: false, crop_to_aspect_ratio: false }
    }

    /// Each pixel that of the nearest center: for images of classes.
    #[must_use]
    pub fn nearest(mut self) -> Self {
        self.interpolation = Interpolation::Nearest;
        self
    }

    setters! {
        /// Whether a bilinear pixel is made of all pixels that it covers, where the image gets smaller.
        fn antialias(self, antialias: bool) { self.antialias = antialias }

        /// Whether the largest centered part with the aspect ratio of the result is cut out first, so that nothing is distorted.
        fn crop_to_aspect_ratio(self, crop: bool) { self.crop_to_aspect_ratio = crop }
    }

    /// The size of the center that is resized, of an image of this one.
    fn cut(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        if !self.crop_to_aspect_ratio {
            return [height, width];
        }
        let fitting = |size: usize, to: usize, by: usize| (size as f64 * to as f64 / by as f64) as usize;
        [
            height.min(fitting(width, self.height, self.width)).max(1),
            width.min(fitting(height, self.width, self.height)).max(1),
        ]
    }

    fn check(&self, sample: &[usize]) -> Result<()> {
        let Resizing { height, width, .. } = self;
        if *height == 0 || *width == 0 || sample[1] == 0 || sample[2] == 0 {
            let message = format!("images of {} × {} cannot become {height} × {width}", sample[1], sample[2]);
            return Err(Error::value("resizing", message));
        }
        Ok(())
    }

    /// One axis in another size.
    fn resize(&self, x: &Var, axis: usize, to: usize) -> Result<Var> {
        let from = x.dims()[axis];
        let scale = from as f64 / to as f64;
        if from == to {
            return Ok(x.clone());
        }
        if self.interpolation == Interpolation::Nearest {
            let nearest = |i: usize| (((i as f64 + 0.5) * scale) as usize).min(from - 1) as i64;
            let index = Tensor::write_with([to], x.device(), |index: &mut [i64]| {
                index.iter_mut().enumerate().for_each(|(i, index)| *index = nearest(i));
                Ok(())
            })?;
            return x.index_select(axis, &index);
        }
        let reach = if self.antialias { scale.max(1.0) } else { 1.0 };
        let pixels = |i| triangle((i as f64 + 0.5) * scale, reach, from);
        let taps = taps("resizing", [from, to], to.saturating_mul(2 * reach.ceil() as usize + 1), pixels)?;
        x.in_wide(|x| x.blend(axis, &taps))
    }
}

/// The pixels around `center` with their weights, which fall to 0 at the distance `reach` and have the sum 1.
fn triangle(center: f64, reach: f64, size: usize) -> impl Iterator<Item = (usize, f64)> {
    let pixels = (center - reach).floor().max(0.0) as usize..((center + reach).ceil() as usize).min(size);
    let weight = move |at: usize| (1.0 - (at as f64 + 0.5 - center).abs() / reach).max(0.0);
    let sum: f64 = pixels.clone().map(weight).sum();
    pixels.map(move |at| (at, weight(at) / sum))
}

impl Layer for Resizing {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, ctx: &Ctx) -> Result<Var> {
        expect_batch::<2>("resizing", x.shape())?;
        self.check(&x.dims()[1..])?;
        let x = center(&x, self.cut([x.dims()[2], x.dims()[3]]))?;
        let x = self.resize(&floats(&x, DType::F32, ctx)?, 2, self.height)?;
        self.resize(&x, 3, self.width)
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        expect_sample::<2>("resizing", input)?;
        self.check(input)?;
        Shape::new(&[input[0], self.height, self.width])
    }
}

of_images! { Resizing }
