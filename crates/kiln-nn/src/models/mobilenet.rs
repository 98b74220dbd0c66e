//! MobileNetV2: depthwise convolutions between thin layers.

use super::parts::{classified, conv, conv_norm, depthwise_norm};
use crate::{Activation, BatchNorm2d, Dense, Dropout, Residual, Sequential};

/// The activation everywhere.
const ACTIVATION: Activation = Activation::Relu6;

/// MobileNetV2 for images of 3 × 224 × 224 (Sandler et al. 2018). 3,504,872 parameters for 1000 classes.
pub fn mobilenet_v2(classes: usize) -> Sequential {
    MobileNetV2::new().classes(classes).model()
}

/// A custom MobileNetV2: any width and depth.
///
/// Paths are torchvision's: `features.0.0.weight`, `features.2.conv.1.0.weight`, `classifier.1.bias`, where activations count as
/// layers.
///
/// ```
/// use kiln_nn::Module;
/// use kiln_nn::models::mobilenet::MobileNetV2;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = MobileNetV2::new().width(0.35).classes(10).model();
/// let model = model.build([3, 96, 96], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(model.parameters()[3].0, "features.1.conv.0.0.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MobileNetV2 {
    stages: Vec<[usize; 4]>,
    width: f64,
    last: usize,
    dropout: f64,
    classes: usize,
}

/// The paper's table 2: expansion, channels, blocks, stride of the first block.
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

impl Default for MobileNetV2 {
    fn default() -> Self {
        MobileNetV2::new()
    }
}

impl MobileNetV2 {
    /// The paper's, for 1000 classes.
    pub fn new() -> Self {
        MobileNetV2 { stages: STAGES.to_vec(), width: 1.0, last: 1280, dropout: 0.2, classes: 1000 }
    }

    /// What the numbers of channels are multiplied by, then rounded to a multiple of 8; the last ones are not made fewer. By
    /// default 1.
    #[must_use]
    pub fn width(mut self, width: f64) -> Self {
        self.width = width;
        self
    }

    /// Stages of blocks: by how much a block widens its input inside, its output channels, how many blocks, and the stride of
    /// the first.
    #[must_use]
    pub fn stages(mut self, stages: impl AsRef<[[usize; 4]]>) -> Self {
        self.stages = stages.as_ref().to_vec();
        self
    }

    /// Channels of the last convolution, before the classes. By default 1280.
    #[must_use]
    pub fn last(mut self, channels: usize) -> Self {
        self.last = channels;
        self
    }

    /// The rate of the dropout before the last layer. By default 0.2.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
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
        let mut channels = multiple_of_8(32.0 * self.width);
        let mut features = Sequential::new().push(conv_norm(channels, 3, 2, ACTIVATION));
        for &[expansion, width, blocks, stride] in &self.stages {
            let output = multiple_of_8(width as f64 * self.width);
            for block in 0..blocks {
                let layers = inverted(channels, channels * expansion, output, if block == 0 { stride } else { 1 });
                if channels == output && (block > 0 || stride == 1) {
                    features.add(Residual::new(layers));
                } else {
                    features.add(layers);
                }
                channels = output;
            }
        }
        features.add(conv_norm(multiple_of_8(self.last as f64 * self.width.max(1.0)), 1, 1, ACTIVATION));
        let classifier = Sequential::new().push(Dropout::new(self.dropout)).push(Dense::new(self.classes));
        classified(features, classifier)
    }
}

/// As torchvision rounds: to the nearest multiple, but not by more than a tenth down.
fn multiple_of_8(channels: f64) -> usize {
    let rounded = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (rounded as f64) < 0.9 * channels { rounded + 8 } else { rounded }
}

/// A block: wider by a convolution of 1 × 1, then a depthwise one, then thin again without an activation.
fn inverted(channels: usize, hidden: usize, output: usize, stride: usize) -> Sequential {
    let mut layers = Sequential::new();
    if hidden != channels {
        layers.add(conv_norm(hidden, 1, 1, ACTIVATION));
    }
    layers.add(depthwise_norm(3, stride, ACTIVATION));
    layers.add(conv(output, 1, 1));
    layers.add(BatchNorm2d::new());
    Sequential::new().push_named("conv", layers)
}
