//! Vision transformers.

use super::refused;
use super::transformers::{Blocks, NORMAL};
use crate::layers::setters::setters;
use crate::{
    Activation, ClassToken, Conv2d, Dense, Dropout, LayerNorm, Permute, PositionEmbedding, Reshape, SelectStep,
    Sequential,
};

/// ViT-B/16 for images of 3 × 224 × 224 (Dosovitskiy et al. 2020): patches of 16 × 16, 12 blocks, 768 wide, 12 heads. 86,567,656
/// parameters for 1000 classes.
///
/// For weights from Hugging Face's hub see [`hub::load`](super::hub::load).
pub fn vit_b16(classes: usize) -> Sequential {
    Vit::new().classes(classes).model()
}

/// A small vision transformer for images of 3 × 32 × 32: patches of 4 × 4, 6 blocks, 192 wide, 6 heads, with dropout of 0.1.
/// 2,693,578 parameters for 10 classes.
pub fn vit_cifar(classes: usize) -> Sequential {
    Vit::cifar().classes(classes).model()
}

/// A custom vision transformer: images of any size, any depth and width.
///
/// Blocks have their normalizations first; a learned first step carries what is known of the whole image to the classifier. Paths outside
/// of the blocks are nearly Hugging Face's: `vit.embeddings.patch_embeddings.projection.weight`, `classifier.bias`; within a block they are
/// those of [`TransformerEncoderLayer`](crate::TransformerEncoderLayer).
///
/// ```
/// use kiln_nn::Module;
/// use kiln_nn::models::vit::Vit;
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Vit::new().image(28).channels(1).patch(7).width(32).layers(2).heads(4).classes(10).model();
/// let model = model.build([1, 28, 28], &kiln_tensor::Device::cpu(), 1)?;
/// assert_eq!(*model.output_shapes().last().unwrap(), [10]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Vit {
    pub(super) image: usize,
    pub(super) channels: usize,
    pub(super) patch: usize,
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) hidden: Option<usize>,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
    pub(super) dropout: [f64; 2],
    pub(super) classes: usize,
}

impl Default for Vit {
    fn default() -> Self {
        Vit::new()
    }
}

impl Vit {
    /// ViT-B/16 without dropout.
    pub fn new() -> Self {
        Vit {
            image: 224,
            channels: 3,
            patch: 16,
            width: 768,
            layers: 12,
            heads: 12,
            hidden: None,
            activation: Activation::Gelu,
            epsilon: 1e-12,
            dropout: [0.0; 2],
            classes: 1000,
        }
    }

    /// The settings of [`vit_cifar`].
    pub fn cifar() -> Self {
        Vit::new().image(32).patch(4).width(192).layers(6).heads(6).dropout(0.1).classes(10)
    }

    setters! {
        /// The side of the images, a multiple of that of patches. By default 224.
        fn image(self, side: usize) { self.image = side }

        /// Channels of the images. By default 3.
        fn channels(self, channels: usize) { self.channels = channels }

        /// The side of a patch. By default 16.
        fn patch(self, side: usize) { self.patch = side }

        /// Features of a patch. By default 768.
        fn width(self, width: usize) { self.width = width }

        /// Blocks. By default 12.
        fn layers(self, layers: usize) { self.layers = layers }

        /// Heads of attention, which divide the width. By default 12.
        fn heads(self, heads: usize) { self.heads = heads }

        /// Hidden units of a block's feed-forward part. By default 4 times the width.
        fn hidden(self, units: usize) { self.hidden = Some(units) }

        /// In training, which part is dropped of the embeddings and of what a block adds. By default 0.
        fn dropout(self, rate: f64) { self.dropout[0] = rate }

        /// Logits. By default 1000.
        fn classes(self, classes: usize) { self.classes = classes }
    }

    /// The network, to be built for images: `build([3, 224, 224], …)`.
    pub fn model(&self) -> Sequential {
        if self.patch == 0 || self.image == 0 || !self.image.is_multiple_of(self.patch) {
            let message = format!(
                "images of side {} cannot be cut into patches of side {}: a multiple is expected",
                self.image, self.patch
            );
            return refused("vit", message);
        }
        let patches = (self.image / self.patch).pow(2);
        let projection = Conv2d::new(self.width, self.patch).stride(self.patch).kernel_initializer(NORMAL);
        let patch_embeddings = Sequential::new()
            .push_named("projection", projection)
            .push(Reshape::new([self.width, patches]))
            .push(Permute::new([2, 1]));
        let embeddings = Sequential::new()
            .push_named("patch_embeddings", patch_embeddings)
            .push_named("cls_token", ClassToken::new())
            .push_named("position_embeddings", PositionEmbedding::new(patches + 1))
            .push(Dropout::new(self.dropout[0]));
        let vit = Sequential::new()
            .push_named("embeddings", embeddings)
            .push_named("encoder", Sequential::new().push_named("layer", self.blocks()))
            .push_named("layernorm", LayerNorm::new().epsilon(self.epsilon));
        Sequential::new()
            .push_named("vit", vit)
            .push_named("pooler", SelectStep::new(0))
            .push_named("classifier", Dense::new(self.classes).kernel_initializer(NORMAL))
    }

    fn blocks(&self) -> Sequential {
        Blocks {
            count: self.layers,
            width: self.width,
            heads: self.heads,
            hidden: self.hidden,
            activation: self.activation,
            epsilon: self.epsilon,
            norm_first: true,
            causal: false,
            dropout: [self.dropout[1], self.dropout[0]],
        }
        .layers()
    }
}
