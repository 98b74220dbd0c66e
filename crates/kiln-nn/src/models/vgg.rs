//! VGG: stacks of 3 × 3 convolutions, halved in size and doubled in width.

use crate::{
    Activation, AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dense, Dropout, Flatten, Initializer, MaxPool2d, Sequential,
};

/// VGG-11 for images of 3 × 224 × 224, without batch normalization (Simonyan and Zisserman 2014). 132,863,336 parameters for 1000
/// classes.
pub fn vgg11(classes: usize) -> Sequential {
    Vgg::new([1, 1, 2, 2, 2]).classes(classes).model()
}

/// VGG-13: as [`vgg11`], with two convolutions in each of the five stages.
pub fn vgg13(classes: usize) -> Sequential {
    Vgg::new([2; 5]).classes(classes).model()
}

/// VGG-16: as [`vgg11`], with three convolutions in the last stages. 138,357,544 parameters for 1000 classes.
pub fn vgg16(classes: usize) -> Sequential {
    Vgg::new([2, 2, 3, 3, 3]).classes(classes).model()
}

/// A custom VGG: any depth and width, with batch normalization or not, for images of any size.
///
/// Paths are torchvision's: `features.0.weight`, `classifier.6.bias`, where activations count as layers.
///
/// ```
/// use kiln_nn::Module;
/// use kiln_nn::models::vgg::Vgg;
/// use kiln_tensor::Device;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// // For CIFAR's 32 × 32 pixels: one position is left, and a small head is enough.
/// let model = Vgg::new([1, 1, 2, 2, 2]).batch_norm(true).pooled(1).hidden(512).classes(10).model();
/// let model = model.build([3, 32, 32], &Device::cpu(), 1)?;
/// assert_eq!(model.parameters()[0].0, "features.0.weight");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Vgg {
    stages: Vec<usize>,
    width: usize,
    batch_norm: bool,
    pooled: usize,
    hidden: usize,
    dropout: f64,
    classes: usize,
}

impl Vgg {
    /// So many convolutions in each stage. The first stage is 64 wide, each further one twice that, up to 8 times.
    pub fn new(stages: impl AsRef<[usize]>) -> Self {
        let stages = stages.as_ref().to_vec();
        Vgg { stages, width: 64, batch_norm: false, pooled: 7, hidden: 4096, dropout: 0.5, classes: 1000 }
    }

    /// Channels of the first stage. By default 64.
    #[must_use]
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Whether batch normalization follows each convolution (torchvision's `vgg11_bn` and kin). By default it does not.
    #[must_use]
    pub fn batch_norm(mut self, batch_norm: bool) -> Self {
        self.batch_norm = batch_norm;
        self
    }

    /// The side that the last maps are averaged to. By default 7.
    #[must_use]
    pub fn pooled(mut self, side: usize) -> Self {
        self.pooled = side;
        self
    }

    /// Units of the two dense layers before the last. By default 4096.
    #[must_use]
    pub fn hidden(mut self, units: usize) -> Self {
        self.hidden = units;
        self
    }

    /// The rate of the dropout after each of them. By default 0.5.
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
        let relu = Activation::Relu;
        let classifier = Sequential::new()
            .push_named("0", Dense::new(self.hidden).activation(relu))
            .push_named("2", Dropout::new(self.dropout))
            .push_named("3", Dense::new(self.hidden).activation(relu))
            .push_named("5", Dropout::new(self.dropout))
            .push_named("6", Dense::new(self.classes));
        Sequential::new()
            .push_named("features", self.features())
            .push_named("avgpool", AdaptiveAvgPool2d::new(self.pooled))
            .push(Flatten::new())
            .push_named("classifier", classifier)
    }

    /// The convolutions. Layers have the numbers that they have in torchvision, where an activation is one too.
    fn features(&self) -> Sequential {
        let relu = Activation::Relu;
        let mut features = Sequential::new();
        let mut number = 0;
        for (stage, &convolutions) in self.stages.iter().enumerate() {
            let channels = self.width << stage.min(3);
            for _ in 0..convolutions {
                let conv = Conv2d::new(channels, 3).padding(1).kernel_initializer(Initializer::HeNormal);
                if self.batch_norm {
                    features.add_named(number.to_string(), conv);
                    features.add_named((number + 1).to_string(), BatchNorm2d::new().activation(relu));
                    number += 3;
                } else {
                    features.add_named(number.to_string(), conv.activation(relu));
                    number += 2;
                }
            }
            features.add_named(number.to_string(), MaxPool2d::new(2));
            number += 1;
        }
        features
    }
}
