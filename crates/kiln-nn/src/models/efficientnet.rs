//! EfficientNet: depthwise convolutions with squeeze-and-excitation.

use super::parts::{classified, conv, conv_norm, depthwise_norm};
use crate::{Activation, BatchNorm2d, Dense, DropPath, Dropout, Residual, Sequential, SqueezeExcitation};

/// The activation everywhere.
const ACTIVATION: Activation = Activation::Silu;

/// EfficientNet-B0 for images of 3 × 224 × 224 (Tan and Le 2019). 5,288,548 parameters for 1000 classes.
pub fn efficientnet_b0(classes: usize) -> Sequential {
    EfficientNet::new().classes(classes).model()
}

/// A stage of an [`EfficientNet`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stage {
    /// By how much a block widens its input inside.
    pub expansion: usize,
    /// The side of the depthwise kernels.
    pub kernel: usize,
    /// The stride of the first block.
    pub stride: usize,
    /// Output channels.
    pub channels: usize,
    /// How many blocks.
    pub blocks: usize,
}

const fn stage(expansion: usize, kernel: usize, stride: usize, channels: usize, blocks: usize) -> Stage {
    Stage { expansion, kernel, stride, channels, blocks }
}

/// The paper's table 1.
const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 16, 1),
    stage(6, 3, 2, 24, 2),
    stage(6, 5, 2, 40, 2),
    stage(6, 3, 2, 80, 3),
    stage(6, 5, 1, 112, 3),
    stage(6, 5, 2, 192, 4),
    stage(6, 3, 1, 320, 1),
];

/// How much wider the last convolution is than the last stage.
const LAST: usize = 4;

/// A custom EfficientNet: any stages.
///
/// Paths are torchvision's: `features.0.0.weight`, `features.2.1.block.2.fc1.weight`, `classifier.1.bias`, where activations count as
/// layers.
///
/// ```
/// use kiln_nn::Module;
/// use kiln_nn::models::efficientnet::{EfficientNet, Stage};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let stages = [Stage { expansion: 4, kernel: 3, stride: 2, channels: 16, blocks: 2 }];
/// let model = EfficientNet::new().width(8).stages(stages).classes(10).model();
/// let model = model.build([3, 32, 32], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.parameters()[3].0, "features.1.0.block.0.0.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct EfficientNet {
    stages: Vec<Stage>,
    width: usize,
    dropout: f64,
    drop_path: f64,
    classes: usize,
}

impl Default for EfficientNet {
    fn default() -> Self {
        EfficientNet::new()
    }
}

impl EfficientNet {
    /// The paper's B0, for 1000 classes.
    pub fn new() -> Self {
        EfficientNet { stages: STAGES.to_vec(), width: 32, dropout: 0.2, drop_path: 0.2, classes: 1000 }
    }

    /// Other stages.
    #[must_use]
    pub fn stages(mut self, stages: impl AsRef<[Stage]>) -> Self {
        self.stages = stages.as_ref().to_vec();
        self
    }

    /// Channels of the first convolution. By default 32.
    #[must_use]
    pub fn width(mut self, channels: usize) -> Self {
        self.width = channels;
        self
    }

    /// The rate of the dropout before the last layer. By default 0.2.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// The rate at which blocks are left out in training ([`DropPath`]): 0 at the first, rising to this. By default 0.2.
    #[must_use]
    pub fn drop_path(mut self, rate: f64) -> Self {
        self.drop_path = rate;
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
        let total = self.stages.iter().map(|stage| stage.blocks).sum::<usize>() as f64;
        let (mut channels, mut number) = (self.width, 0);
        let mut features = Sequential::new().push(conv_norm(channels, 3, 2, ACTIVATION));
        for stage in &self.stages {
            let mut blocks = Sequential::new();
            for block in 0..stage.blocks {
                let stride = if block == 0 { stage.stride } else { 1 };
                let layers = Sequential::new().push_named("block", stage.block(channels, stride));
                if stride == 1 && channels == stage.channels {
                    let rate = self.drop_path * f64::from(number) / total;
                    blocks.add(Residual::new(layers.push_named("stochastic_depth", DropPath::new(rate))));
                } else {
                    blocks.add(layers);
                }
                channels = stage.channels;
                number += 1;
            }
            features.add(blocks);
        }
        features.add(conv_norm(LAST * channels, 1, 1, ACTIVATION));
        let classifier = Sequential::new().push(Dropout::new(self.dropout)).push(Dense::new(self.classes));
        classified(features, classifier)
    }
}

impl Stage {
    /// A block: wider by a convolution of 1 × 1, a depthwise one, squeeze-and-excitation, then thin again without an activation.
    fn block(&self, channels: usize, stride: usize) -> Sequential {
        let mut layers = Sequential::new();
        if self.expansion != 1 {
            layers.add(conv_norm(channels * self.expansion, 1, 1, ACTIVATION));
        }
        layers.add(depthwise_norm(self.kernel, stride, ACTIVATION));
        layers.add(SqueezeExcitation::new((channels / 4).max(1)).activation(ACTIVATION));
        layers.push(Sequential::new().push(conv(self.channels, 1, 1)).push(BatchNorm2d::new()))
    }
}
