//! DCGAN: images from noise.

use super::refused;
use crate::{Activation, BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, Initializer, Sequential};

/// The two networks of a DCGAN (Radford, Metz and Chintala 2015): a generator, which makes images of noise, and a discriminator, which
/// says of an image whether it is real. With the defaults for images of 3 × 64 × 64, as in PyTorch's example: 3,576,704 and 2,765,568
/// parameters, under its paths (`main.0.weight`, where activations count as layers).
///
/// The generator takes normal noise (latent, 1, 1) and gives images with values from −1 to 1 (tanh). The discriminator gives
/// one logit: `BinaryCrossentropy::from_logits()` with 1 for real images and 0 for others.
///
/// ```
/// use kiln_nn::models::dcgan::Dcgan;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = kiln_tensor::Device::cpu();
/// let dcgan = Dcgan::new().side(28).channels(1).width(16).latent(32);
/// let generator = dcgan.generator().build([32, 1, 1], &cpu, 1)?;
/// assert_eq!(generator.output_shapes()[0].one()?.dims(), [1, 28, 28]);
/// let discriminator = dcgan.discriminator().build([1, 28, 28], &cpu, 2)?;
/// assert_eq!(*discriminator.output_shapes().last().unwrap(), [1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dcgan {
    side: usize,
    channels: usize,
    latent: usize,
    width: usize,
}

impl Default for Dcgan {
    fn default() -> Self {
        Dcgan::new()
    }
}

impl Dcgan {
    /// For images of 3 × 64 × 64, 64 wide, from 100 numbers.
    pub fn new() -> Self {
        Dcgan { side: 64, channels: 3, latent: 100, width: 64 }
    }

    /// The side of the images: from 4 to 7 at the smallest map, doubled some times, as 28, 32, 48 or 64 are. Another side is refused when
    /// the networks are built. By default 64.
    #[must_use]
    pub fn side(mut self, side: usize) -> Self {
        self.side = side;
        self
    }

    /// Channels of the images. By default 3.
    #[must_use]
    pub fn channels(mut self, channels: usize) -> Self {
        self.channels = channels;
        self
    }

    /// How many numbers an image is made of. By default 100.
    #[must_use]
    pub fn latent(mut self, numbers: usize) -> Self {
        self.latent = numbers;
        self
    }

    /// Channels of the largest maps, doubled where the size is halved. By default 64.
    #[must_use]
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// The side of the smallest map, and how often it is doubled.
    fn sizes(&self) -> std::result::Result<(usize, u32), String> {
        let (mut side, mut doublings) = (self.side, 0);
        while side > 7 && side.is_multiple_of(2) {
            side /= 2;
            doublings += 1;
        }
        match side {
            4..=7 => Ok((side, doublings)),
            _ => Err(format!("side {}: 4 to 7, doubled some times, is expected, such as 28 or 32", self.side)),
        }
    }

    /// Noise (latent, 1, 1) to images (channels, side, side), to be built.
    pub fn generator(&self) -> Sequential {
        let (smallest, doublings) = match self.sizes() {
            Ok(sizes) => sizes,
            Err(message) => return refused("dcgan", message),
        };
        let up = |filters: usize, kernel: usize| {
            ConvTranspose2d::new(filters, kernel).use_bias(false).kernel_initializer(NORMAL)
        };
        let mut main = Sequential::new();
        for stage in 0..=doublings {
            let last = stage == doublings;
            let filters = if last { self.channels } else { self.width << (doublings - 1 - stage) };
            let layer = if stage == 0 { up(filters, smallest) } else { up(filters, 4).stride(2).padding(1) };
            let number = 3 * stage as usize;
            main.add_named(number.to_string(), if last { layer.activation(Activation::Tanh) } else { layer });
            if !last {
                main.add_named((number + 1).to_string(), BatchNorm2d::new().activation(Activation::Relu));
            }
        }
        Sequential::new().push_named("main", main)
    }

    /// Images (channels, side, side) to a logit, to be built.
    pub fn discriminator(&self) -> Sequential {
        let (smallest, doublings) = match self.sizes() {
            Ok(sizes) => sizes,
            Err(message) => return refused("dcgan", message),
        };
        let leaky = Activation::LeakyRelu(0.2);
        let conv =
            |filters: usize, kernel: usize| Conv2d::new(filters, kernel).use_bias(false).kernel_initializer(NORMAL);
        let mut main = Sequential::new();
        let mut number = 0;
        for stage in 0..doublings {
            let layer = conv(self.width << stage, 4).stride(2).padding(1);
            if stage == 0 {
                // The first layer has no normalization.
                main.add_named("0", layer.activation(leaky));
                number = 2;
            } else {
                main.add_named(number.to_string(), layer);
                main.add_named((number + 1).to_string(), BatchNorm2d::new().activation(leaky));
                number += 3;
            }
        }
        main.add_named(number.to_string(), conv(1, smallest));
        Sequential::new().push_named("main", main).push(Flatten::new())
    }
}

/// The paper's first weights.
const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };
