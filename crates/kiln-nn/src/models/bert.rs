//! BERT.

use super::transformers::{Blocks, below, block_setters, dense, embedding};
use crate::layers::setters::setters;
use crate::{
    Activation, Bias, Dropout, Embedding, Graph, LayerNorm, Node, PositionEmbedding, SegmentEmbedding, SelectStep,
    Sequential, Shared,
};
use kiln_tensor::Result;

/// BERT base with a masked language model on top (Devlin et al. 2018): 12 blocks, 768 wide, 12 heads. 109,514,298 parameters.
///
/// It takes tokens (N, T), up to 512 of 30,522, with a mask if some are padding, and gives logits of the token at each position. For
/// Google's weights see [`hub::load`](super::hub::load).
pub fn bert_base() -> Sequential {
    Bert::new().head(BertHead::MaskedLm).model()
}

/// The head of a BERT: the layers after its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BertHead {
    /// No head. The output is the features of each token, (N, T, width).
    Encoder,
    /// A dense layer with tanh on the features of the first token. There are two outputs: the features of each token, (N, T, width), and those of
    /// the dense layer, (N, width).
    Pooled,
    /// Logits of the token at each position, (N, T, vocabulary). The embedding's vectors are their weight.
    MaskedLm,
    /// Logits of this number of classes for the whole text, (N, classes), from the pooled features.
    Classes(usize),
}

/// A custom BERT: any vocabulary, depth, width and head.
///
/// Blocks have their normalizations after the sums. Tokens that the mask leaves out are not attended to. Paths outside of the blocks
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
    pub(super) blocks: Blocks,
    /// Of what a classifier sees.
    pub(super) dropout: f64,
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
            blocks: Blocks { norm_first: false, ..Blocks::BASE },
            dropout: 0.0,
            with_segments: false,
            head: BertHead::Encoder,
        }
    }

    block_setters!();

    setters! {
        /// How many tokens there are. By default 30,522.
        fn vocabulary(self, tokens: usize) { self.vocabulary = tokens }

        /// The longest text. By default 512.
        fn positions(self, positions: usize) { self.positions = positions }

        /// How many segments there are: the texts of a pair are the segments 0 and 1. By default 2.
        fn segments(self, segments: usize) { self.segments = segments }

        /// The rate of dropout in training: for the embeddings, the outputs of attention and feed-forward parts, the attention's
        /// probabilities and the input of the classifier. By default 0; Google trained with 0.1.
        fn dropout(self, rate: f64) { (self.dropout, self.blocks.dropout) = (rate, [rate; 2]) }

        /// Whether the model takes a second input beside the tokens, the segment of each (`token_type_ids`, N × T). By default all are of
        /// segment 0.
        fn with_segments(self, with: bool) { self.with_segments = with }

        /// The layers after the blocks. By default there are none.
        fn head(self, head: BertHead) { self.head = head }
    }

    /// The network, to be built for the longest text: `build([512], …)`.
    pub fn model(&self) -> Sequential {
        below("bert", "bert", self.graph())
    }

    fn graph(&self) -> Result<Graph> {
        let mut g = Graph::new();
        let tokens = g.input_named("tokens", [self.positions]);
        let segments = g.input_named("segments", [self.positions]);
        let words = g.layer_named("embeddings.word_embeddings", embedding(self.vocabulary, self.blocks.width))?;
        let x = g.call(&words, &tokens)?;
        let of_segments = SegmentEmbedding::new(self.segments);
        let with: &[&Node] = if self.with_segments { &[&x, &segments] } else { &[&x] };
        let x = g.call_named("embeddings.token_type_embeddings", of_segments, with)?;
        let x = g.call_named("embeddings.position_embeddings", PositionEmbedding::new(self.positions), &x)?;
        let x = g.call_named("embeddings.LayerNorm", LayerNorm::new().epsilon(self.blocks.epsilon), &x)?;
        let x = g.call_named("embeddings.dropout", Dropout::new(self.blocks.dropout[1]), &x)?;
        let x = g.call_named("encoder.layer", self.blocks.layers(), &x)?;
        let outputs = self.outputs(&mut g, &words, x)?;
        let inputs: &[&Node] = if self.with_segments { &[&tokens, &segments] } else { &[&tokens] };
        g.between(inputs, &outputs.iter().collect::<Vec<_>>())
    }

    /// The outputs of the model: those of its head, for the features `x` of the last block.
    fn outputs(&self, g: &mut Graph, words: &Shared<Embedding>, x: Node) -> Result<Vec<Node>> {
        let pooled = |g: &mut Graph| {
            let first = g.call_named("pooler.first", SelectStep::new(0), &x)?;
            g.call_named("pooler.dense", dense(self.blocks.width).activation(Activation::Tanh), &first)
        };
        match self.head {
            BertHead::Encoder => Ok(vec![x]),
            BertHead::Pooled => Ok(vec![x, pooled(g)?]),
            BertHead::MaskedLm => {
                let transform = dense(self.blocks.width).activation(self.blocks.activation);
                let y = g.call_named("cls.predictions.transform.dense", transform, &x)?;
                let norm = LayerNorm::new().epsilon(self.blocks.epsilon);
                let y = g.call_named("cls.predictions.transform.LayerNorm", norm, &y)?;
                let y = g.call_with(words, Embedding::LOGITS, &y)?;
                Ok(vec![g.call_named("cls.predictions", Bias::new(), &y)?])
            }
            BertHead::Classes(classes) => {
                let y = pooled(g)?;
                let y = g.call_named("dropout", Dropout::new(self.dropout), &y)?;
                Ok(vec![g.call_named("classifier", dense(classes), &y)?])
            }
        }
    }
}
