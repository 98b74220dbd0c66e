//! Vision transformers.

use super::refused;
use super::transformers::{Blocks, NORMAL, block_setters, dense};
use crate::layers::setters::setters;
use crate::{ClassToken, Conv2d, Dropout, LayerNorm, Permute, PositionEmbedding, Reshape, SelectStep, Sequential};

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
    pub(super) blocks: Blocks,
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
        Vit { image: 224, channels: 3, patch: 16, blocks: Blocks::BASE, classes: 1000 }
    }

    /// The settings of [`vit_cifar`].
    pub fn cifar() -> Self {
        Vit::new().image(32).patch(4).width(192).layers(6).heads(6).dropout(0.1).classes(10)
    }

    block_setters!();

    setters! {
        /// The side of the images, a multiple of that of patches. By default 224.
        fn image(self, side: usize) { self.image = side }

        /// Channels of the images. By default 3.
        fn channels(self, channels: usize) { self.channels = channels }

        /// The side of a patch. By default 16.
        fn patch(self, side: usize) { self.patch = side }

        /// The rate of dropout in training: for the embeddings and the outputs of attention and feed-forward parts. By default 0.
        fn dropout(self, rate: f64) { self.blocks.dropout[1] = rate }

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
        let projection = Conv2d::new(self.blocks.width, self.patch).stride(self.patch).kernel_initializer(NORMAL);
        let patch_embeddings = Sequential::new()
            .push_named("projection", projection)
            .push(Reshape::new([self.blocks.width, patches]))
            .push(Permute::new([2, 1]));
        let embeddings = Sequential::new()
            .push_named("patch_embeddings", patch_embeddings)
            .push_named("cls_token", ClassToken::new())
            .push_named("position_embeddings", PositionEmbedding::new(patches + 1))
            .push(Dropout::new(self.blocks.dropout[1]));
        let vit = Sequential::new()
            .push_named("embeddings", embeddings)
            .push_named("encoder", Sequential::new().push_named("layer", self.blocks.layers()))
            .push_named("layernorm", LayerNorm::new().epsilon(self.blocks.epsilon));
        Sequential::new()
            .push_named("vit", vit)
            .push_named("pooler", SelectStep::new(0))
            .push_named("classifier", dense(self.classes))
    }
}
