//! Residual networks.

use super::parts::{conv, norm};
use crate::{Activation, BatchNorm2d, Dense, GlobalAvgPool, MaxPool2d, Residual, Sequential};

/// ResNet-18 for images of 3 × 224 × 224 (He et al. 2015). 11,689,512 parameters for 1000 classes.
pub fn resnet18(classes: usize) -> Sequential {
    ResNet::basic([2, 2, 2, 2]).classes(classes).model()
}

/// ResNet-34: as [`resnet18`], with 3, 4, 6 and 3 blocks. 21,797,672 parameters for 1000 classes.
pub fn resnet34(classes: usize) -> Sequential {
    ResNet::basic([3, 4, 6, 3]).classes(classes).model()
}

/// ResNet-50: 3, 4, 6 and 3 blocks of three convolutions, 1 × 1, 3 × 3 and 1 × 1. 25,557,032 parameters for 1000 classes.
pub fn resnet50(classes: usize) -> Sequential {
    ResNet::bottleneck([3, 4, 6, 3]).classes(classes).model()
}

/// ResNet-20 for images of 3 × 32 × 32: three stages of three blocks, 16, 32 and 64 wide (He et al. 2015, section 4.2, with
/// projections where the width changes). 272,474 parameters for 10 classes.
pub fn resnet20(classes: usize) -> Sequential {
    ResNet::basic([3, 3, 3]).width(16).small_images(true).classes(classes).model()
}

/// A custom residual network: any depth and width.
///
/// Paths are torchvision's: `conv1.weight`, `layer1.0.bn2.running_mean`, `layer2.0.downsample.0.weight`, `fc.bias`.
///
/// ```
/// use kiln_nn::models::resnet::ResNet;
/// # use kiln_nn::Module;
/// # use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let resnet56 = ResNet::basic([9, 9, 9]).width(16).small_images(true).classes(10).model();
/// # let small = ResNet::basic([1, 1]).width(4).small_images(true).classes(10).model();
/// # let model = small.build([3, 8, 8], &Device::cpu(), 1)?;
/// # assert_eq!(model.parameters()[3].0, "layer1.0.conv1.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResNet {
    stages: Vec<usize>,
    bottleneck: bool,
    width: usize,
    small_images: bool,
    classes: usize,
}

/// How much wider than its inner convolutions a bottleneck's output is.
const EXPANSION: usize = 4;

impl ResNet {
    /// So many blocks of two convolutions in each stage.
    pub fn basic(stages: impl AsRef<[usize]>) -> Self {
        let stages = stages.as_ref().to_vec();
        ResNet { stages, bottleneck: false, width: 64, small_images: false, classes: 1000 }
    }

    /// So many blocks of three convolutions in each stage, the first and last of 1 × 1; where the size is halved, the one of
    /// 3 × 3 does it, as in torchvision.
    pub fn bottleneck(stages: impl AsRef<[usize]>) -> Self {
        ResNet { bottleneck: true, ..ResNet::basic(stages) }
    }

    /// Channels of the first stage, doubled in each further one. By default 64.
    #[must_use]
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Whether it begins with a convolution of 3 × 3 at full size, for images of some 32 pixels, instead of one of 7 × 7 and
    /// maxima, which make a quarter of the size. By default it does not.
    #[must_use]
    pub fn small_images(mut self, small: bool) -> Self {
        self.small_images = small;
        self
    }

    /// Logits. By default 1000.
    #[must_use]
    pub fn classes(mut self, classes: usize) -> Self {
        self.classes = classes;
        self
    }

    /// The network, to be built.
    pub fn model(&self) -> Sequential {
        let mut model = Sequential::new();
        if self.small_images {
            model.add_named("conv1", conv(self.width, 3, 1));
            model.add_named("bn1", norm(Activation::Relu));
        } else {
            model.add_named("conv1", conv(self.width, 7, 2));
            model.add_named("bn1", norm(Activation::Relu));
            model.add_named("maxpool", MaxPool2d::new(3).stride(2).padding(1));
        }
        let mut channels = self.width;
        for (stage, &blocks) in self.stages.iter().enumerate() {
            let width = self.width << stage.min(usize::BITS as usize / 2);
            let output = if self.bottleneck { width * EXPANSION } else { width };
            let mut layers = Sequential::new();
            for block in 0..blocks {
                let stride = if block == 0 && stage > 0 { 2 } else { 1 };
                layers.add(self.block(channels, width, output, stride));
                channels = output;
            }
            model.add_named(format!("layer{}", stage + 1), layers);
        }
        model.push_named("avgpool", GlobalAvgPool::new()).push_named("fc", Dense::new(self.classes))
    }

    fn block(&self, channels: usize, width: usize, output: usize, stride: usize) -> Residual {
        let relu = || norm(Activation::Relu);
        let main = if self.bottleneck {
            Sequential::new()
                .push_named("conv1", conv(width, 1, 1))
                .push_named("bn1", relu())
                .push_named("conv2", conv(width, 3, stride))
                .push_named("bn2", relu())
                .push_named("conv3", conv(output, 1, 1))
                .push_named("bn3", BatchNorm2d::new())
        } else {
            Sequential::new()
                .push_named("conv1", conv(width, 3, stride))
                .push_named("bn1", relu())
                .push_named("conv2", conv(output, 3, 1))
                .push_named("bn2", BatchNorm2d::new())
        };
        let block = Residual::new(main).activation(Activation::Relu);
        if stride == 1 && channels == output {
            return block;
        }
        block.shortcut(Sequential::new().push(conv(output, 1, stride)).push(BatchNorm2d::new()))
    }
}
