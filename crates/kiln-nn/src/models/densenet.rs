//! DenseNet: each layer sees the outputs of all before it.

use super::parts::{classified, conv, norm};
use crate::{Activation, AvgPool2d, Dense, MaxPool2d, Sequential, SkipConcat};

/// The activation everywhere.
const ACTIVATION: Activation = Activation::Relu;

/// DenseNet-121 for images of 3 × 224 × 224 (Huang et al. 2016). 7,978,856 parameters for 1000 classes.
pub fn densenet121(classes: usize) -> Sequential {
    DenseNet::new([6, 12, 24, 16]).classes(classes).model()
}

/// A custom DenseNet: any depth and width.
///
/// Paths are torchvision's: `features.conv0.weight`, `features.denseblock1.denselayer2.norm1.weight`, `classifier.bias`.
///
/// ```
/// use kiln_nn::models::densenet::DenseNet;
/// use kiln_nn::Module;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = DenseNet::new([2, 2]).growth(8).width(16).classes(10).model();
/// let model = model.build([3, 32, 32], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.parameters()[3].0, "features.denseblock1.denselayer1.norm1.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DenseNet {
    blocks: Vec<usize>,
    growth: usize,
    width: usize,
    classes: usize,
}

/// How much wider than its output the inside of a layer is.
const BOTTLENECK: usize = 4;

impl DenseNet {
    /// So many layers in each block.
    pub fn new(blocks: impl AsRef<[usize]>) -> Self {
        DenseNet { blocks: blocks.as_ref().to_vec(), growth: 32, width: 64, classes: 1000 }
    }

    /// Channels that each layer adds. By default 32.
    #[must_use]
    pub fn growth(mut self, channels: usize) -> Self {
        self.growth = channels;
        self
    }

    /// Channels of the first convolution. By default 64.
    #[must_use]
    pub fn width(mut self, channels: usize) -> Self {
        self.width = channels;
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
        let mut features = Sequential::new()
            .push_named("conv0", conv(self.width, 7, 2))
            .push_named("norm0", norm(ACTIVATION))
            .push_named("pool0", MaxPool2d::new(3).stride(2).padding(1));
        let mut channels = self.width;
        for (block, &layers) in self.blocks.iter().enumerate() {
            if block > 0 {
                channels /= 2;
                features.add_named(format!("transition{block}"), transition(channels));
            }
            let mut dense = Sequential::new();
            for layer in 1..=layers {
                dense.add_named(format!("denselayer{layer}"), self.layer());
            }
            features.add_named(format!("denseblock{}", block + 1), dense);
            channels += layers * self.growth;
        }
        // torchvision calls it so whatever the number of blocks.
        features.add_named("norm5", norm(ACTIVATION));
        classified(features, Dense::new(self.classes))
    }

    fn layer(&self) -> SkipConcat {
        let main = Sequential::new()
            .push_named("norm1", norm(ACTIVATION))
            .push_named("conv1", conv(BOTTLENECK * self.growth, 1, 1))
            .push_named("norm2", norm(ACTIVATION))
            .push_named("conv2", conv(self.growth, 3, 1));
        SkipConcat::new(main)
    }
}

/// Between two blocks: half as many channels, half the size.
fn transition(channels: usize) -> Sequential {
    Sequential::new()
        .push_named("norm", norm(ACTIVATION))
        .push_named("conv", conv(channels, 1, 1))
        .push_named("pool", AvgPool2d::new(2))
}
