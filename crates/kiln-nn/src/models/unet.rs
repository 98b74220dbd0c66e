//! U-Net: a class for each pixel.

use super::refused;
use crate::{Activation, BatchNorm2d, Conv2d, ConvTranspose2d, Initializer, MaxPool2d, Sequential, SkipConcat};

/// U-Net for images whose sides are multiples of 16 (Ronneberger, Fischer and Brox 2015): logits (classes, H, W), one for each
/// class and pixel. 31,037,698 parameters for images of 3 channels and 2 classes.
pub fn unet(classes: usize) -> Sequential {
    UNet::new().classes(classes).model()
}

/// A custom U-Net: any width and depth.
///
/// As it is mostly used today: convolutions are padded, so that maps of a level have one size and nothing is cut off, and each
/// has batch normalization. Each `inner` in a path leads one level down: `encoder.0.weight`, `inner.encoder.0.weight`,
/// `inner.inner.decoder.4.bias`, `inner.up.weight`, `head.weight`.
///
/// ```
/// use kiln_nn::models::unet::UNet;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = UNet::new().width(8).depth(2).classes(3).model().build([1, 32, 48], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(*model.output_shapes().last().unwrap(), [3, 32, 48]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UNet {
    width: usize,
    depth: usize,
    classes: usize,
}

impl Default for UNet {
    fn default() -> Self {
        UNet::new()
    }
}

impl UNet {
    /// The paper's sizes, for 2 classes.
    pub fn new() -> Self {
        UNet { width: 64, depth: 4, classes: 2 }
    }

    /// Channels of the first level, doubled in each further one. By default 64.
    #[must_use]
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// How often the size is halved; the sides of images must be multiples of 2 to the power of this. At most 16; by default 4.
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Logits of each pixel. By default 2.
    #[must_use]
    pub fn classes(mut self, classes: usize) -> Self {
        self.classes = classes;
        self
    }

    /// The network, to be built.
    pub fn model(&self) -> Sequential {
        if self.depth > MAX_DEPTH {
            return refused("unet", format!("depth {}: at most {MAX_DEPTH} is expected", self.depth));
        }
        self.level(0, Sequential::new()).push_named("head", Conv2d::new(self.classes, 1))
    }

    /// The layers of a level, and within them all below.
    fn level(&self, level: usize, layers: Sequential) -> Sequential {
        let channels = self.width << level;
        let layers = layers.push_named("encoder", twice(channels));
        if level == self.depth {
            return layers;
        }
        let below = self.level(level + 1, Sequential::new().push_named("pool", MaxPool2d::new(2)));
        let below = below.push_named("up", ConvTranspose2d::new(channels, 2).stride(2));
        layers.push_named("inner", SkipConcat::new(below)).push_named("decoder", twice(channels))
    }
}

/// Two convolutions of 3 × 3.
fn twice(channels: usize) -> Sequential {
    let conv = || Conv2d::new(channels, 3).padding(1).use_bias(false).kernel_initializer(Initializer::HeNormal);
    let norm = || BatchNorm2d::new().activation(Activation::Relu);
    // Numbers as where activations count as layers.
    Sequential::new().push_named("0", conv()).push_named("1", norm()).push_named("3", conv()).push_named("4", norm())
}

/// The deepest network: its images have sides of 65,536 and more.
const MAX_DEPTH: usize = 16;
