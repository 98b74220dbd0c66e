//! A block of self-attention and a feed-forward part.

use super::block::{Block, Stream, block_settings};
use super::norm::Norm;
use super::{FeedForward, MultiHeadAttention};
use crate::layers::setters::setters;
use crate::layers::templates::part;
use crate::{Activation, Ctx, Describe, Init, Layer, Mask, Module, Sequence, Shapes, settings};
use kiln_tensor::{Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A block of a transformer with self-attention: of x (N, T, width), x₁ = norm1(x + self_attn(x)) and y = norm2(x₁ + feed_forward(x₁))
/// (Vaswani et al. 2017); with [`norm_first`](Self::norm_first) x₁ = x + self_attn(norm1(x)) and y = x₁ + feed_forward(norm2(x₁)).
///
/// With causal attention it is the block of a language model such as GPT-2; with [`BlockNorm::Rms`](crate::BlockNorm), rotary positions
/// and a gated feed-forward part, that of Llama. Masks are as in [`MultiHeadAttention`], and so is what is carried.
///
/// Paths are those of PyTorch's `nn.TransformerEncoderLayer`: `self_attn.…`, `linear1.…`, `linear2.…`, `norm1.…`, `norm2.…`.
///
/// ```
/// use kiln_nn::{Activation, BlockNorm, FeedForward, MultiHeadAttention, Rotary, Sequential, TransformerEncoderLayer};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let gpt = TransformerEncoderLayer::new(4, 256).causal(true).norm_first(true).activation(Activation::GeluTanh).dropout(0.1);
/// let attention = MultiHeadAttention::new(8).key_heads(2).causal(true).use_bias(false).rotary(Rotary::new());
/// let feed_forward = FeedForward::new(172).activation(Activation::Silu).gated(true).use_bias(false);
/// let llama = TransformerEncoderLayer::of(attention, feed_forward).norm_first(true).norm(BlockNorm::Rms);
/// let model = Sequential::new().push(gpt).push(llama).build([100, 64], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct TransformerEncoderLayer {
    #[serde(rename = "attention", deserialize_with = "part")]
    self_attn: MultiHeadAttention,
    #[module(flatten)]
    #[serde(deserialize_with = "part")]
    feed_forward: FeedForward,
    #[serde(skip)]
    norm1: Norm,
    #[serde(skip)]
    norm2: Norm,
    #[module(skip)]
    #[serde(flatten)]
    pub(super) block: Block,
}

impl TransformerEncoderLayer {
    /// With so many heads and hidden units, as PyTorch's: ReLU, layer normalization after the sums. Dropout is 0 until
    /// [`dropout`](Self::dropout) sets it; PyTorch's default is 0.1.
    pub fn new(heads: usize, hidden: usize) -> Self {
        TransformerEncoderLayer::of(MultiHeadAttention::new(heads), FeedForward::new(hidden))
    }

    /// Of these parts.
    pub fn of(attention: MultiHeadAttention, feed_forward: FeedForward) -> Self {
        let (norm1, norm2) = (Norm::default(), Norm::default());
        TransformerEncoderLayer { self_attn: attention, feed_forward, norm1, norm2, block: Block::new() }
    }

    setters! {
        /// Whether a step sees no later steps. By default it sees all.
        fn causal(self, causal: bool) { self.self_attn = self.self_attn.causal(causal) }

        /// Applied to the hidden units of the feed-forward part. By default ReLU.
        fn activation(self, activation: Activation) { self.feed_forward = self.feed_forward.activation(activation) }

        /// PyTorch's `dropout`: of the attention's probabilities, of the hidden units, and of the outputs of both parts.
        fn dropout(self, rate: f64) {
            self.self_attn = self.self_attn.dropout(rate);
            self.feed_forward = self.feed_forward.dropout(rate);
            self.block.residual_dropout = rate;
        }
    }

    block_settings!();

    /// The forward pass, whose last sum is left to what comes next.
    pub(super) fn run(&self, x: Stream, mask: Option<&Mask>, ctx: &Ctx) -> Result<Stream> {
        let x = x.counted(mask)?;
        let x = self.block.around(("norm1", &self.norm1), "dropout1", x, ctx, |values| {
            let x = Sequence { values, mask: mask.cloned() };
            Ok(ctx.layer("self_attn", &self.self_attn, vec![x])?.values)
        })?;
        self.block.around(("norm2", &self.norm2), "dropout2", x, ctx, |x| ctx.run(&self.feed_forward, x))
    }
}

impl Layer for TransformerEncoderLayer {
    type Input = Sequence;
    type Output = Sequence;

    fn forward(&self, Sequence { values, mask }: Sequence, ctx: &Ctx) -> Result<Sequence> {
        let values = self.run(Stream::from(values), mask.as_ref(), ctx)?.sum()?;
        Ok(Sequence { values, mask })
    }

    fn build(&mut self, input: &Shape, init: &mut Init) -> Result<Shape> {
        let norms = &mut [("norm1", &mut self.norm1), ("norm2", &mut self.norm2)];
        self.block.build(norms, input, init)?;
        init.layer("self_attn", &mut self.self_attn, &vec![*input])?;
        self.feed_forward.build(input, init)
    }

    fn reset_states(&self) {
        self.self_attn.reset_states();
    }
}

impl Describe for TransformerEncoderLayer {
    fn config(&self) -> Option<Json> {
        settings(self)
    }
    fn flops(&self, output: &Shapes) -> u64 {
        self.self_attn.flops(output) + self.feed_forward.flops(output)
    }
}
