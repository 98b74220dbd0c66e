//! The center of images.

use crate::layers::spatial::{expect_batch, expect_sample};
use crate::{Ctx, Init, Layer, LayerPrecision, MaskRule, Module};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};

/// The center of images x (N, C, H, W), of this size (Keras's `CenterCrop`). Where an odd number of rows or columns is left out,
/// one more is left out after than before.
///
/// ```
/// use kiln_nn::{CenterCrop, Sequential};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Sequential::new().push(CenterCrop::new(224, 224)).build([3, 256, 300], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.output_shapes()[0], [3, 224, 224]);
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CenterCrop {
    height: usize,
    width: usize,
}

/// x (N, C, H, W) without what surrounds a center of this size, which is not larger.
pub(super) fn center(x: &Var, [height, width]: [usize; 2]) -> Result<Var> {
    let side = |from: usize, to: usize| ((from - to) / 2, (from - to).div_ceil(2));
    match x.dims()[2..] == [height, width] {
        true => Ok(x.clone()),
        false => x.crop(&[side(x.dims()[2], height), side(x.dims()[3], width)]),
    }
}

impl CenterCrop {
    /// To this size.
    pub fn new(height: usize, width: usize) -> Self {
        CenterCrop { height, width }
    }

    fn check(&self, sample: &[usize]) -> Result<()> {
        let CenterCrop { height, width } = *self;
        if height == 0 || width == 0 || height > sample[1] || width > sample[2] {
            let (from_height, from_width) = (sample[1], sample[2]);
            let message = format!(
                "a crop of {height} × {width} does not fit images of {from_height} × {from_width}: make it smaller, or put \
                 Resizing before this layer"
            );
            return Err(Error::shape("center_crop", message));
        }
        Ok(())
    }
}

impl Layer for CenterCrop {
    type Input = Var;
    type Output = Var;

    /// Data as it comes may need more than a half type's 8 or 11 bits.
    fn precision(&self) -> LayerPrecision {
        LayerPrecision::Full
    }

    fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
        expect_batch::<2>("center_crop", x.shape())?;
        self.check(&x.dims()[1..])?;
        center(&x, [self.height, self.width])
    }

    fn mask(&self) -> MaskRule {
        MaskRule::Drop
    }

    fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
        expect_sample::<2>("center_crop", input)?;
        self.check(input)?;
        Shape::new(&[input[0], self.height, self.width])
    }
}

of_images! { CenterCrop }
