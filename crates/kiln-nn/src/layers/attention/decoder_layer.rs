//! A block of self-attention, attention to a memory and a feed-forward part.

use super::block::{Block, Stream, block_settings};
use super::norm::Norm;
use super::{FeedForward, MultiHeadAttention};
use crate::layers::setters::setters;
use crate::layers::templates::part;
use crate::{Activation, Ctx, Describe, Init, Layer, Mask, Module, Sequence, Shapes, settings};
use kiln_tensor::{Result, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A block of a transformer's decoder: of x (N, T, width) and a memory (N, S, width), x₁ = norm1(x + self_attn(x)),
/// x₂ = norm2(x₁ + multihead_attn(x₁, memory)) and y = norm3(x₂ + feed_forward(x₂)) (Vaswani et al. 2017); with
/// [`norm_first`](Self::norm_first) each normalization comes before its part. Self-attention is causal.
///
/// It takes two values, x and the memory, which is mostly the output of a [`TransformerEncoder`](crate::TransformerEncoder). Masks are
/// as in [`MultiHeadAttention`], and so is what self-attention carries. In such a pass the keys and values of the memory are carried too:
/// until [`Layer::reset_states`], the memory is that of the first pass.
///
/// Paths are those of PyTorch's `nn.TransformerDecoderLayer`: `self_attn.…`, `multihead_attn.…`, `linear1.…`, `linear2.…`, `norm1.…`,
/// `norm2.…`, `norm3.…`.
///
/// ```
/// use kiln_nn::{Graph, TransformerDecoderLayer};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let mut g = Graph::new();
/// let (x, memory) = (g.input([7, 32]), g.input([10, 32]));
/// let y = g.call(TransformerDecoderLayer::new(4, 64), &[&x, &memory])?;
/// let model = g.build(&[&x, &memory], &[&y], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Clone, Debug, Serialize, Deserialize)]
pub struct TransformerDecoderLayer {
    #[serde(rename = "attention", deserialize_with = "part")]
    self_attn: MultiHeadAttention,
    #[serde(rename = "cross_attention", deserialize_with = "part")]
    multihead_attn: MultiHeadAttention,
    #[module(flatten)]
    #[serde(deserialize_with = "part")]
    feed_forward: FeedForward,
    #[serde(skip)]
    norm1: Norm,
    #[serde(skip)]
    norm2: Norm,
    #[serde(skip)]
    norm3: Norm,
    #[module(skip)]
    #[serde(flatten)]
    pub(super) block: Block,
}

impl TransformerDecoderLayer {
    /// With so many heads and hidden units, as PyTorch's: ReLU, layer normalization after the sums. Dropout is 0 until
    /// [`dropout`](Self::dropout) sets it; PyTorch's default is 0.1.
    pub fn new(heads: usize, hidden: usize) -> Self {
        let attention = MultiHeadAttention::new(heads).causal(true);
        TransformerDecoderLayer::of(attention, MultiHeadAttention::new(heads), FeedForward::new(hidden))
    }

    /// Of these parts: self-attention, which is to be causal, attention to the memory, and the feed-forward part.
    pub fn of(attention: MultiHeadAttention, cross_attention: MultiHeadAttention, feed_forward: FeedForward) -> Self {
        TransformerDecoderLayer {
            self_attn: attention,
            multihead_attn: cross_attention,
            feed_forward,
            norm1: Norm::default(),
            norm2: Norm::default(),
            norm3: Norm::default(),
            block: Block::new(),
        }
    }

    setters! {
        /// Applied to the hidden units of the feed-forward part. By default ReLU.
        fn activation(self, activation: Activation) { self.feed_forward = self.feed_forward.activation(activation) }

        /// PyTorch's `dropout`: of the probabilities of both attentions, of the hidden units, and of the outputs of all parts.
        fn dropout(self, rate: f64) {
            self.self_attn = self.self_attn.dropout(rate);
            self.multihead_attn = self.multihead_attn.dropout(rate);
            self.feed_forward = self.feed_forward.dropout(rate);
            self.block.residual_dropout = rate;
        }
    }

    block_settings!();

    /// The forward pass, whose last sum is left to what comes next.
    pub(super) fn run(&self, x: Stream, mask: Option<&Mask>, memory: Sequence, ctx: &Ctx) -> Result<Stream> {
        let x = x.counted(mask)?;
        let masked = |values| Sequence { values, mask: mask.cloned() };
        let x = self.block.around(("norm1", &self.norm1), "dropout1", x, ctx, |x| {
            Ok(ctx.layer("self_attn", &self.self_attn, vec![masked(x)])?.values)
        })?;
        let x = self.block.around(("norm2", &self.norm2), "dropout2", x, ctx, |x| {
            Ok(ctx.layer("multihead_attn", &self.multihead_attn, vec![masked(x), memory])?.values)
        })?;
        self.block.around(("norm3", &self.norm3), "dropout3", x, ctx, |x| ctx.run(&self.feed_forward, x))
    }
}

impl Layer for TransformerDecoderLayer {
    type Input = (Sequence, Sequence);
    type Output = Sequence;

    fn forward(&self, (Sequence { values, mask }, memory): (Sequence, Sequence), ctx: &Ctx) -> Result<Sequence> {
        let values = self.run(Stream::from(values), mask.as_ref(), memory, ctx)?.sum()?;
        Ok(Sequence { values, mask })
    }

    fn build(&mut self, (input, memory): &(Shape, Shape), init: &mut Init) -> Result<Shape> {
        let norms = &mut [("norm1", &mut self.norm1), ("norm2", &mut self.norm2), ("norm3", &mut self.norm3)];
        self.block.build(norms, input, init)?;
        init.layer("self_attn", &mut self.self_attn, &vec![*input])?;
        self.multihead_attn.keep_memory();
        init.layer("multihead_attn", &mut self.multihead_attn, &vec![*input, *memory])?;
        self.feed_forward.build(input, init)
    }

    fn reset_states(&self) {
        self.self_attn.reset_states();
        self.multihead_attn.reset_states();
    }
}

impl Describe for TransformerDecoderLayer {
    fn config(&self) -> Option<Json> {
        settings(self)
    }
    fn flops(&self, output: &Shapes) -> u64 {
        self.self_attn.flops(output) + self.multihead_attn.flops(output) + self.feed_forward.flops(output)
    }
}
