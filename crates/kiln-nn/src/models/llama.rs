//! Decoders of Llama's kind.

use super::transformers::{LanguageModel, NORMAL, stack};
use crate::layers::setters::setters;
use crate::{
    Activation, BlockNorm, FeedForward, MultiHeadAttention, RmsNorm, Rotary, RotaryScaling, Sequential,
    TransformerEncoderLayer,
};

/// A decoder of Llama's kind (Touvron et al. 2023): blocks with RMS normalization first, rotary positions, grouped queries and a
/// feed-forward part gated by SiLU, without biases.
///
/// It takes tokens (N, T) and gives logits of the next token at each place. Paths of the embedding and of the last layers are Hugging
/// Face's: `model.embed_tokens.weight`, `model.norm.weight`, `lm_head.weight`; within a block they are those of
/// [`TransformerEncoderLayer`]: `model.layers.0.self_attn.in_proj_weight`. For weights from the hub see [`hub::load`](super::hub::load).
///
/// ```
/// use kiln_nn::models::llama::Llama;
/// use kiln_nn::{Ctx, Module};
/// use kiln_tensor::{DType, Device, Tensor};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let cpu = Device::cpu();
/// let model = Llama::new(1000).width(64).layers(2).heads(4).key_heads(2).hidden(172).positions(128).model();
/// let model = model.build([128], &cpu, 1)?; // the longest context
/// let logits = model.forward(Tensor::zeros([1, 7], DType::I64, &cpu)?, &Ctx::eval())?;
/// assert_eq!(logits.dims(), [1, 7, 1000]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Llama {
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    pub(super) head_width: Option<usize>,
    pub(super) hidden: usize,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
    pub(super) theta: f64,
    pub(super) scaling: RotaryScaling,
    pub(super) window: Option<usize>,
    pub(super) dropout: f64,
    pub(super) biases: [bool; 2],
    pub(super) tied: bool,
}

impl Llama {
    /// The sizes of Llama 2 with 7 billion parameters, for so many tokens.
    pub fn new(vocabulary: usize) -> Self {
        Llama {
            vocabulary,
            positions: 4096,
            width: 4096,
            layers: 32,
            heads: 32,
            key_heads: 32,
            head_width: None,
            hidden: 11_008,
            activation: Activation::Silu,
            epsilon: 1e-5,
            theta: 10_000.0,
            scaling: RotaryScaling::None,
            window: None,
            dropout: 0.0,
            biases: [false; 2],
            tied: false,
        }
    }

    setters! {
        /// The longest context that it is built for; positions have no weights. By default 4096.
        fn positions(self, positions: usize) { self.positions = positions }

        /// Features of a token. By default 4096.
        fn width(self, width: usize) { self.width = width }

        /// Blocks. By default 32.
        fn layers(self, layers: usize) { self.layers = layers }

        /// Heads of attention, which divide the width unless [`head_width`](Self::head_width) is set; there are as many heads of keys
        /// unless [`key_heads`](Self::key_heads) comes after. By default 32.
        fn heads(self, heads: usize) { (self.heads, self.key_heads) = (heads, heads) }

        /// Heads of keys and values, which divide the heads. By default as many as these.
        fn key_heads(self, heads: usize) { self.key_heads = heads }

        /// The width of a head. By default the width divided by the heads.
        fn head_width(self, width: usize) { self.head_width = Some(width) }

        /// Hidden units of a block's feed-forward part. By default 11,008.
        fn hidden(self, units: usize) { self.hidden = units }

        /// The base of the rotary positions' frequencies. By default 10,000.
        fn theta(self, theta: f64) { self.theta = theta }

        /// How rotary positions are stretched. By default they are not.
        fn scaling(self, scaling: RotaryScaling) { self.scaling = scaling }

        /// A token sees only the last so many tokens. By default it sees all before it.
        fn window(self, tokens: usize) { self.window = Some(tokens) }

        /// Whether the logits are made by the vectors of the embedding instead of a layer of their own. By default they are not.
        fn tied(self, tied: bool) { self.tied = tied }
    }

    /// The network, to be built for the longest context: `build([4096], …)`.
    pub fn model(&self) -> Sequential {
        LanguageModel {
            name: "llama",
            prefix: "model",
            positions: self.positions,
            vocabulary: self.vocabulary,
            width: self.width,
            embedding: "embed_tokens",
            layers: vec![
                ("layers", Box::new(stack(self.layers, || self.block()))),
                ("norm", Box::new(RmsNorm::new().epsilon(self.epsilon))),
            ],
            tied: self.tied,
        }
        .model()
    }

    fn block(&self) -> TransformerEncoderLayer {
        let rotary = Rotary::new().theta(self.theta).scaling(self.scaling);
        let [attention_bias, hidden_bias] = self.biases;
        let mut attention = MultiHeadAttention::new(self.heads)
            .key_heads(self.key_heads)
            .causal(true)
            .use_bias(attention_bias)
            .dropout(self.dropout)
            .rotary(rotary)
            .kernel_initializer(NORMAL);
        if let Some(width) = self.head_width {
            attention = attention.head_width(width);
        }
        if let Some(window) = self.window {
            attention = attention.window(window);
        }
        let feed_forward = FeedForward::new(self.hidden)
            .activation(self.activation)
            .gated(true)
            .use_bias(hidden_bias)
            .kernel_initializer(NORMAL);
        TransformerEncoderLayer::of(attention, feed_forward).norm_first(true).norm(BlockNorm::Rms).epsilon(self.epsilon)
    }
}
