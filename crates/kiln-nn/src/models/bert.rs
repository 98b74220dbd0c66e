//! BERT.

use super::refused;
use super::transformers::{Blocks, NORMAL};
use crate::layers::setters::setters;
use crate::{
    Activation, Bias, Dense, Dropout, Embedding, Graph, LayerNorm, Node, PositionEmbedding, SegmentEmbedding,
    SelectStep, Sequential, Shared,
};
use kiln_tensor::Result;

/// BERT base with a masked language model on top (Devlin et al. 2018): 12 blocks, 768 wide, 12 heads. 109,514,298 parameters.
///
/// It takes tokens (N, T), up to 512 of 30,522, with a mask where some are padding, and gives logits of the token at each place. For
/// Google's weights see [`hub::load`](super::hub::load).
pub fn bert_base() -> Sequential {
    Bert::new().head(BertHead::MaskedLm).model()
}

/// What comes after BERT's blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BertHead {
    /// Nothing: the features of each token, (N, T, width).
    Encoder,
    /// The features of each token, and those of the first one through a dense layer with tanh (N, width): two outputs.
    Pooled,
    /// Logits of the token at each place, (N, T, vocabulary), by the vectors of the embedding.
    MaskedLm,
    /// Logits of so many classes of the whole text, (N, classes), of the pooled features.
    Classes(usize),
}

/// A custom BERT: any vocabulary, depth and width, and what comes after the blocks.
///
/// Blocks have their normalizations after the sums. Steps that the mask of the tokens leaves out are not seen. Paths outside of the blocks
/// are Hugging Face's, all below `bert`: `bert.embeddings.word_embeddings.weight`, `bert.cls.predictions.bias`; within a block they are
/// those of [`TransformerEncoderLayer`](crate::TransformerEncoderLayer).
///
/// ```
/// use kiln_nn::Module;
/// use kiln_nn::models::bert::{Bert, BertHead};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let model = Bert::new().vocabulary(1000).positions(64).width(32).layers(2).heads(4).head(BertHead::Classes(3)).model();
/// let model = model.build([64], &kiln_tensor::Device::cpu(), 1)?; // the longest text
/// assert_eq!(*model.output_shapes().last().unwrap(), [3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Bert {
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    pub(super) segments: usize,
    pub(super) width: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) hidden: Option<usize>,
    pub(super) activation: Activation,
    pub(super) epsilon: f64,
    pub(super) dropout: [f64; 3],
    pub(super) with_segments: bool,
    pub(super) head: BertHead,
}

impl Default for Bert {
    fn default() -> Self {
        Bert::new()
    }
}

impl Bert {
    /// The blocks of BERT base without dropout.
    pub fn new() -> Self {
        Bert {
            vocabulary: 30_522,
            positions: 512,
            segments: 2,
            width: 768,
            layers: 12,
            heads: 12,
            hidden: None,
            activation: Activation::Gelu,
            epsilon: 1e-12,
            dropout: [0.0; 3],
            with_segments: false,
            head: BertHead::Encoder,
        }
    }

    setters! {
        /// How many tokens there are. By default 30,522.
        fn vocabulary(self, tokens: usize) { self.vocabulary = tokens }

        /// The longest text. By default 512.
        fn positions(self, positions: usize) { self.positions = positions }

        /// How many parts of a text are told apart. By default 2.
        fn segments(self, segments: usize) { self.segments = segments }

        /// Features of a token. By default 768.
        fn width(self, width: usize) { self.width = width }

        /// Blocks. By default 12.
        fn layers(self, layers: usize) { self.layers = layers }

        /// Heads of attention, which divide the width. By default 12.
        fn heads(self, heads: usize) { self.heads = heads }

        /// Hidden units of a block's feed-forward part. By default 4 times the width.
        fn hidden(self, units: usize) { self.hidden = Some(units) }

        /// In training, which part is dropped of the embeddings and of what a block adds, of the attention's probabilities, and of what a
        /// classifier sees. By default 0; Google trained with 0.1.
        fn dropout(self, rate: f64) { self.dropout = [rate; 3] }

        /// Whether the model takes a second input beside the tokens, the segment of each (`token_type_ids`, N × T). By default all are of
        /// segment 0.
        fn with_segments(self, with: bool) { self.with_segments = with }

        /// What comes after the blocks. By default nothing.
        fn head(self, head: BertHead) { self.head = head }
    }

    /// The network, to be built for the longest text: `build([512], …)`.
    pub fn model(&self) -> Sequential {
        match self.graph() {
            Ok(graph) => Sequential::new().push_named("bert", graph),
            Err(error) => refused("bert", error.message().to_owned()),
        }
    }

    fn graph(&self) -> Result<Graph> {
        let mut g = Graph::new();
        let tokens = g.input_named("tokens", [self.positions]);
        let segments = g.input_named("segments", [self.positions]);
        let words = Embedding::new(self.vocabulary, self.width).embeddings_initializer(NORMAL);
        let words = g.layer_named("embeddings.word_embeddings", words)?;
        let x = g.call(&words, &tokens)?;
        let of_segments = SegmentEmbedding::new(self.segments);
        let with: &[&Node] = if self.with_segments { &[&x, &segments] } else { &[&x] };
        let x = g.call_named("embeddings.token_type_embeddings", of_segments, with)?;
        let x = g.call_named("embeddings.position_embeddings", PositionEmbedding::new(self.positions), &x)?;
        let x = g.call_named("embeddings.LayerNorm", LayerNorm::new().epsilon(self.epsilon), &x)?;
        let x = g.call_named("embeddings.dropout", Dropout::new(self.dropout[0]), &x)?;
        let x = g.call_named("encoder.layer", self.blocks(), &x)?;
        let outputs = self.outputs(&mut g, &words, x)?;
        let inputs: &[&Node] = if self.with_segments { &[&tokens, &segments] } else { &[&tokens] };
        g.between(inputs, &outputs.iter().collect::<Vec<_>>())
    }

    /// What the head makes of the blocks' output.
    fn outputs(&self, g: &mut Graph, words: &Shared<Embedding>, x: Node) -> Result<Vec<Node>> {
        let dense = |units: usize| Dense::new(units).kernel_initializer(NORMAL);
        let pooled = |g: &mut Graph| {
            let first = g.call_named("pooler.first", SelectStep::new(0), &x)?;
            g.call_named("pooler.dense", dense(self.width).activation(Activation::Tanh), &first)
        };
        match self.head {
            BertHead::Encoder => Ok(vec![x]),
            BertHead::Pooled => Ok(vec![x, pooled(g)?]),
            BertHead::MaskedLm => {
                let transform = dense(self.width).activation(self.activation);
                let y = g.call_named("cls.predictions.transform.dense", transform, &x)?;
                let norm = LayerNorm::new().epsilon(self.epsilon);
                let y = g.call_named("cls.predictions.transform.LayerNorm", norm, &y)?;
                let y = g.call_with(words, Embedding::LOGITS, &y)?;
                Ok(vec![g.call_named("cls.predictions", Bias::new(), &y)?])
            }
            BertHead::Classes(classes) => {
                let y = pooled(g)?;
                let y = g.call_named("dropout", Dropout::new(self.dropout[2]), &y)?;
                Ok(vec![g.call_named("classifier", dense(classes), &y)?])
            }
        }
    }

    fn blocks(&self) -> Sequential {
        Blocks {
            count: self.layers,
            width: self.width,
            heads: self.heads,
            hidden: self.hidden,
            activation: self.activation,
            epsilon: self.epsilon,
            norm_first: false,
            causal: false,
            dropout: [self.dropout[1], self.dropout[0]],
        }
        .layers()
    }
}
