//! What transformers have in common.

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
    /// The step of paths that all but the last layer are below.
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
        match self.graph() {
            Err(error) => refused(name, error.message().to_owned()),
            Ok(graph) if tied => Sequential::new().push_named(prefix, graph),
            Ok(graph) => {
                let head = Dense::new(vocabulary).use_bias(false).kernel_initializer(NORMAL);
                Sequential::new().push_named(prefix, graph).push_named("lm_head", head)
            }
        }
    }

    fn graph(self) -> Result<Graph> {
        let mut g = Graph::new();
        let tokens = g.input_named("tokens", [self.positions]);
        let embedding = Embedding::new(self.vocabulary, self.width).embeddings_initializer(NORMAL);
        let embedding = g.layer_named(self.embedding, embedding)?;
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

/// The blocks of GPT-2, BERT and vision transformers.
pub(super) struct Blocks {
    pub(super) count: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Hidden units of the feed-forward part; 4 times the width where there is none.
    pub(super) hidden: Option<usize>,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
    pub(super) norm_first: bool,
    pub(super) causal: bool,
    /// Which part is dropped of the attention's probabilities, and of what attention and feed-forward part add.
    pub(super) dropout: [f64; 2],
}

impl Blocks {
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
