//! Channels as pixels, and pixels as channels.

use super::setters::setters;
use super::spatial::{expect_batch, expect_sample};
use crate::{Ctx, Describe, Init, Layer, MaskRule, Module, settings};
use kiln_autograd::Var;
use kiln_tensor::{Error, Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

fn checked(operation: &'static str, factor: usize) -> Result<usize> {
    // Its square is a number of channels.
    if factor > 0 && factor.checked_mul(factor).is_some() {
        return Ok(factor);
    }
    Err(Error::value(operation, format!("a factor of 1 or more is expected, got {factor}")))
}

macro_rules! shuffles {
    ($($(#[$doc:meta])+ $name:ident, $operation:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Module, Clone, Copy, Debug, Serialize, Deserialize)]
        pub struct $name {
            factor: usize,
            #[serde(default)]
            blocks_first: bool,
        }

        impl $name {
            /// With blocks of `factor` × `factor` pixels.
            pub fn new(factor: usize) -> Self {
                $name { factor, blocks_first: false }
            }

            setters! {
                /// Whether the places in a block are the outer index of the channels, and the resulting channels the inner one, as in
                /// TensorFlow and Keras. By default the other way round, as in PyTorch.
                fn blocks_first(self, first: bool) { self.blocks_first = first }
            }
        }

        impl Describe for $name {
            fn spatial_axes(&self) -> Option<usize> {
                Some(2)
            }
            fn config(&self) -> Option<Json> {
                settings(self)
            }
        }

        impl Layer for $name {
            type Input = Var;
            type Output = Var;

            fn forward(&self, x: Var, _: &Ctx) -> Result<Var> {
                expect_batch::<2>($operation, x.shape())?;
                let to = self.of(&x.dims()[1..])?;
                self.moved(&x, to)
            }

            fn mask(&self) -> MaskRule {
                MaskRule::Drop
            }

            fn build(&mut self, input: &Shape, _: &mut Init) -> Result<Shape> {
                expect_sample::<2>($operation, input)?;
                Shape::new(&self.of(input)?)
            }
        }
    )+};
}
shuffles! {
    /// (N, C·r², H, W) as (N, C, H·r, W·r), where r is the factor: each pixel becomes a block of r × r of them, and pixel (i, j) of the
    /// block comes from channel c·r² + i·r + j (Shi et al. 2016; PyTorch's `PixelShuffle`).
    ///
    /// It is TensorFlow's `depth_to_space` with the channels first and [`blocks_first`](PixelShuffle::blocks_first): there pixel (i, j)
    /// comes from channel (i·r + j)·C + c.
    ///
    /// ```
    /// use kiln_nn::{Conv2d, PixelShuffle, Sequential};
    /// # fn main() -> Result<(), kiln_tensor::Error> {
    /// let model = Sequential::new()
    ///     .push(Conv2d::new(3 * 4, 3).padding(1))
    ///     .push(PixelShuffle::new(2))
    ///     .build([16, 8, 8], &kiln_tensor::Device::cpu(), 1)?;
    /// assert_eq!(model.output_shapes()[1], [3, 16, 16]);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "depth_to_space")]
    PixelShuffle, "pixel_shuffle";
    /// (N, C, H·r, W·r) as (N, C·r², H, W): what [`PixelShuffle`] undoes. PyTorch's `PixelUnshuffle`; TensorFlow's `space_to_depth` with
    /// the channels first and [`blocks_first`](PixelUnshuffle::blocks_first).
    #[doc(alias = "space_to_depth")]
    PixelUnshuffle, "pixel_unshuffle";
}

impl PixelShuffle {
    /// The shape of a sample's output.
    fn of(&self, sample: &[usize]) -> Result<[usize; 3]> {
        let (factor, channels) = (checked("pixel_shuffle", self.factor)?, sample[0]);
        if !channels.is_multiple_of(factor * factor) {
            let message =
                format!("{channels} channels are not divisible by {factor}² = {}, the pixels of a block", factor * factor);
            return Err(Error::shape("pixel_shuffle", message));
        }
        let larger = |size: usize| size.saturating_mul(factor);
        Ok([channels / (factor * factor), larger(sample[1]), larger(sample[2])])
    }

    fn moved(&self, x: &Var, to: [usize; 3]) -> Result<Var> {
        let (&[n, _, h, w], [c, ..], r) = (x.dims().first_chunk().unwrap_or(&[0; 4]), to, self.factor);
        let [channels, order] = match self.blocks_first {
            false => [[n, c, r, r, h, w], [0, 1, 4, 2, 5, 3]],
            true => [[n, r, r, c, h, w], [0, 3, 4, 1, 5, 2]],
        };
        x.reshape(channels)?.permute(&order)?.reshape([n, to[0], to[1], to[2]])
    }
}

impl PixelUnshuffle {
    /// The shape of a sample's output.
    fn of(&self, sample: &[usize]) -> Result<[usize; 3]> {
        let factor = checked("pixel_unshuffle", self.factor)?;
        if !(sample[1].is_multiple_of(factor) && sample[2].is_multiple_of(factor)) {
            let message = format!("maps of {}×{} pixels are not divisible by {factor}", sample[1], sample[2]);
            return Err(Error::shape("pixel_unshuffle", message));
        }
        Ok([sample[0].saturating_mul(factor * factor), sample[1] / factor, sample[2] / factor])
    }

    fn moved(&self, x: &Var, to: [usize; 3]) -> Result<Var> {
        let (&[n, c, ..], [_, h, w], r) = (x.dims().first_chunk::<4>().unwrap_or(&[0; 4]), to, self.factor);
        let order = if self.blocks_first { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
        x.reshape([n, c, h, r, w, r])?.permute(&order)?.reshape([n, to[0], to[1], to[2]])
    }
}
