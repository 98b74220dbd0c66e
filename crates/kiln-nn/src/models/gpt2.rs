//! GPT-2.

use super::transformers::{Blocks, LanguageModel, block_setters};
use crate::layers::setters::setters;
use crate::{Activation, Dropout, LayerNorm, PositionEmbedding, Sequential};

/// GPT-2 small (Radford et al. 2019): 12 blocks, 768 wide, 12 heads. 124,439,808 parameters.
///
/// It takes tokens (N, T), up to 1024 of 50,257, and gives logits of the next token at each place. For OpenAI's weights see
/// [`hub::load`](super::hub::load).
pub fn gpt2() -> Sequential {
    Gpt2::new().model()
}

/// GPT-2 medium: as [`gpt2`], 24 blocks, 1024 wide, 16 heads. 354,823,168 parameters.
pub fn gpt2_medium() -> Sequential {
    Gpt2::new().width(1024).layers(24).heads(16).model()
}

/// GPT-2 large: as [`gpt2`], 36 blocks, 1280 wide, 20 heads. 774,030,080 parameters.
pub fn gpt2_large() -> Sequential {
    Gpt2::new().width(1280).layers(36).heads(20).model()
}

/// GPT-2 XL: as [`gpt2`], 48 blocks, 1600 wide, 25 heads. 1,557,611,200 parameters.
pub fn gpt2_xl() -> Sequential {
    Gpt2::new().width(1600).layers(48).heads(25).model()
}

/// A custom GPT-2: any vocabulary, depth and width.
///
/// Blocks have their normalizations first, GELU by its tanh form, and learned positions; the logits are made by the vectors of the
/// embedding (tied weights). Weights begin normal with a standard deviation of 0.02.
///
/// Paths of embeddings and of the last normalization are Hugging Face's: `transformer.wte.weight`, `transformer.ln_f.bias`; within a block
/// they are those of [`TransformerEncoderLayer`](crate::TransformerEncoderLayer): `transformer.h.0.self_attn.in_proj_weight`.
///
/// ```
/// use kiln_nn::models::gpt2::Gpt2;
/// use kiln_nn::{Ctx, Module};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let model = Gpt2::new().vocabulary(65).positions(32).width(48).layers(2).heads(4).dropout(0.2).model();
/// let model = model.build([32], &cpu, 1)?; // the longest context
/// let logits = model.forward(Tensor::zeros([1, 7], DType::I64, &cpu)?, &Ctx::eval())?;
/// assert_eq!(logits.dims(), [1, 7, 65]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Gpt2 {
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) blocks: Blocks,
    /// Of the embeddings.
    pub(super) dropout: f64,
    pub(super) tied: bool,
}

impl Default for Gpt2 {
    fn default() -> Self {
        Gpt2::new()
    }
}

impl Gpt2 {
    /// GPT-2 small without dropout.
    pub fn new() -> Self {
        Gpt2 {
            vocabulary: 50_257,
            positions: 1024,
            blocks: Blocks { activation: Activation::GeluTanh, epsilon: 1e-5, causal: true, ..Blocks::BASE },
            dropout: 0.0,
            tied: true,
        }
    }

    block_setters!();

    setters! {
        /// How many tokens there are. By default 50,257.
        fn vocabulary(self, tokens: usize) { self.vocabulary = tokens }

        /// The longest context. By default 1024.
        fn positions(self, positions: usize) { self.positions = positions }

        /// The rate of dropout in training: for the embeddings, the attention's probabilities and the outputs of attention and feed-forward
        /// parts. By default 0; OpenAI trained with 0.1.
        fn dropout(self, rate: f64) { (self.dropout, self.blocks.dropout) = (rate, [rate; 2]) }
    }

    /// The network, to be built for the longest context: `build([1024], …)`.
    pub fn model(&self) -> Sequential {
        LanguageModel {
            name: "gpt2",
            prefix: "transformer",
            positions: self.positions,
            vocabulary: self.vocabulary,
            width: self.blocks.width,
            embedding: "wte",
            layers: vec![
                ("wpe", Box::new(PositionEmbedding::new(self.positions))),
                ("drop", Box::new(Dropout::new(self.dropout))),
                ("h", Box::new(self.blocks.layers())),
                ("ln_f", Box::new(LayerNorm::new().epsilon(self.blocks.epsilon))),
            ],
            tied: self.tied,
        }
        .model()
    }
}
