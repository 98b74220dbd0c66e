//! The parts that transformers share.

use super::refused;
use crate::{
    Activation, AnyLayer, Dense, Embedding, FeedForward, Graph, Initializer, MultiHeadAttention, Sequential,
    TransformerEncoderLayer,
};
use kiln_tensor::Result;

/// First weights, as of GPT-2 and BERT.
pub(super) const NORMAL: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

/// Tokens (N, T) through an embedding and these layers to logits (N, T, vocabulary).
pub(super) struct LanguageModel {
    pub(super) name: &'static str,
    /// What the paths of all layers but the last one begin with.
    pub(super) prefix: &'static str,
    /// The longest context.
    pub(super) positions: usize,
    pub(super) vocabulary: usize,
    pub(super) width: usize,
    /// What paths call the embedding.
    pub(super) embedding: &'static str,
    /// The layers after it, with their names.
    pub(super) layers: Vec<(&'static str, Box<dyn AnyLayer>)>,
    /// Whether the embedding's vectors make the logits; else `lm_head` does.
    pub(super) tied: bool,
}

impl LanguageModel {
    /// The network, to be built for contexts.
    pub(super) fn model(self) -> Sequential {
        let (name, vocabulary, tied) = (self.name, self.vocabulary, self.tied);
        let prefix = self.prefix;
        let model = below(name, prefix, self.graph());
        if tied { model } else { model.push_named("lm_head", dense(vocabulary).use_bias(false)) }
    }

    fn graph(self) -> Result<Graph> {
        let mut g = Graph::new();
        let tokens = g.input_named("tokens", [self.positions]);
        let embedding = g.layer_named(self.embedding, embedding(self.vocabulary, self.width))?;
        let mut x = g.call(&embedding, &tokens)?;
        for (name, layer) in self.layers {
            x = g.call_named(name, layer, &x)?;
        }
        if self.tied {
            x = g.call_with(&embedding, Embedding::LOGITS, &x)?;
        }
        g.between(&[&tokens], &[&x])
    }
}

/// A dense layer with those first weights.
pub(super) fn dense(units: usize) -> Dense {
    Dense::new(units).kernel_initializer(NORMAL)
}

/// An embedding of tokens with those first weights.
pub(super) fn embedding(vocabulary: usize, width: usize) -> Embedding {
    Embedding::new(vocabulary, width).embeddings_initializer(NORMAL)
}

/// The graph of a model, whose paths begin with `prefix`. If it could not be made, building the model gives the error.
pub(super) fn below(name: &'static str, prefix: &str, graph: Result<Graph>) -> Sequential {
    match graph {
        Ok(graph) => Sequential::new().push_named(prefix, graph),
        Err(error) => refused(name, error.message().to_owned()),
    }
}

/// The blocks of GPT-2, BERT and vision transformers.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) count: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Hidden units of the feed-forward part. By default 4 times the width.
    pub(super) hidden: Option<usize>,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
    pub(super) norm_first: bool,
    pub(super) causal: bool,
    /// The rates of dropout: of the attention's probabilities, and of the outputs of attention and feed-forward part.
    pub(super) dropout: [f64; 2],
}

/// The setters of blocks, for a builder with a field `blocks`.
macro_rules! block_setters {
    () => {
        $crate::layers::setters::setters! {
            /// Features of a token or patch. By default 768.
            fn width(self, width: usize) { self.blocks.width = width }

            /// Blocks. By default 12.
            fn layers(self, layers: usize) { self.blocks.count = layers }

            /// Heads of attention, which divide the width. By default 12.
            fn heads(self, heads: usize) { self.blocks.heads = heads }

            /// Hidden units of a block's feed-forward part. By default 4 times the width.
            fn hidden(self, units: usize) { self.blocks.hidden = Some(units) }
        }
    };
}
pub(super) use block_setters;

impl Blocks {
    /// The blocks of ViT-B/16 without dropout. BERT base and GPT-2 small have the same number of blocks, heads and features.
    pub(super) const BASE: Blocks = Blocks {
        count: 12,
        width: 768,
        heads: 12,
        hidden: None,
        activation: Activation::Gelu,
        epsilon: 1e-12,
        norm_first: true,
        causal: false,
        dropout: [0.0; 2],
    };

    /// The blocks one after the other.
    pub(super) fn layers(&self) -> Sequential {
        stack(self.count, || {
            let attention = MultiHeadAttention::new(self.heads).causal(self.causal).dropout(self.dropout[0]);
            let hidden = self.hidden.unwrap_or(4 * self.width);
            let feed_forward = FeedForward::new(hidden).activation(self.activation).kernel_initializer(NORMAL);
            TransformerEncoderLayer::of(attention.kernel_initializer(NORMAL), feed_forward)
                .norm_first(self.norm_first)
                .epsilon(self.epsilon)
                .residual_dropout(self.dropout[1])
        })
    }
}

/// Blocks one after the other.
pub(super) fn stack<L: AnyLayer + 'static>(count: usize, block: impl Fn() -> L) -> Sequential {
    (0..count).fold(Sequential::new(), |blocks, _| blocks.push(block()))
}
