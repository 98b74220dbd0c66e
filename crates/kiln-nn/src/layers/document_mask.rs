//! Which steps of packed rows are of one document.

use super::setters::setters;
use crate::value::arity;
use crate::{Ctx, Describe, Init, Layer, LayerPrecision, Mask, Module, Shapes, Value};
use kiln_autograd::Var;
use kiln_tensor::{DType, Error, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Tells the layers that follow which steps are of one document, in rows that hold several documents without padding between them
/// (packed sequences, sample packing, document masking). Then attention does not see other documents than the step's own, and
/// positions begin at 0 in each document: outputs and gradients of attention, and of layers that take each step by itself, are those of
/// the documents one by one. Convolutions and poolings over steps do mix documents.
///
/// It takes tokens (N, T) with the number of each token's document, integers (N, T), as `TextWindows::of_documents` of kiln-datasets
/// gives them; or with [`end_token`](DocumentMask::end_token) the tokens alone. It gives the tokens with a mask that has the documents
/// ([`Mask::of_documents`]). All layers that keep the mask hand them on. Attention computes all rows as one sequence with offsets
/// ([`AttentionOptions::packed`](kiln_tensor::AttentionOptions::packed)), so nothing is computed for pairs of different documents.
/// Recurrent layers refuse packed documents.
///
/// In a pass that carries ([`Ctx::carrying`]) every row is one document that goes on, and the tokens are handed on as they are.
///
/// ```
/// use kiln_nn::{Dense, DocumentMask, Embedding, PositionEmbedding, Sequential, TransformerEncoder, TransformerEncoderLayer};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// let block = TransformerEncoderLayer::new(4, 256).causal(true).norm_first(true);
/// let model = Sequential::new()
///     .push(DocumentMask::new().end_token(0)) // a document ends with the token 0
///     .push(Embedding::new(100, 64))
///     .push(PositionEmbedding::new(32))
///     .push(TransformerEncoder::new(block, 2))
///     .push(Dense::new(100))
///     .build([32], &kiln_tensor::Device::cpu(), 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Module, Describe, Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[describe(settings)]
pub struct DocumentMask {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end_token: Option<i64>,
}

impl DocumentMask {
    /// Takes tokens and the numbers of their documents.
    pub fn new() -> Self {
        DocumentMask::default()
    }

    setters! {
        /// Takes tokens alone: this token ends a document, as `<|endoftext|>` does, and is its last one. By default the numbers of the
        /// documents are given.
        fn end_token(self, token: i64) { self.end_token = Some(token) }
    }

    /// The number of each token's document.
    fn numbers(&self, tokens: &Var) -> Result<Tensor> {
        let Some(end) = self.end_token else {
            let message = "the numbers of the tokens' documents are missing: give them as a second value, or set `end_token`";
            return Err(Error::value("document_mask", message));
        };
        if tokens.shape().rank() != 2 || !tokens.dtype().is_integer() {
            let message = format!("tokens (batch, steps) of integers are expected, got {} {}", tokens.dtype(), tokens.shape());
            return Err(Error::shape("document_mask", message));
        }
        let ends = tokens.tensor().to_dtype(DType::I64)?.eq(&Tensor::scalar(end, tokens.device())?)?.to_dtype(DType::I64)?;
        ends.cumsum(1)?.sub(&ends)
    }
}

impl Layer for DocumentMask {
    type Input = Value;
    type Output = Value;

    fn precision(&self) -> LayerPrecision {
        LayerPrecision::AsGiven
    }

    fn forward(&self, x: Value, ctx: &Ctx) -> Result<Value> {
        let (tokens, mask, given) = match x.parts() {
            [Value::One(tokens, mask)] => (tokens, mask, None),
            [Value::One(tokens, mask), Value::One(numbers, _)] => (tokens, mask, Some(numbers)),
            parts => return Err(arity("tokens, or tokens and the numbers of their documents", parts.len())),
        };
        if ctx.carries(false) {
            return Ok(Value::One(tokens.clone(), mask.clone()));
        }
        let documents = match given {
            Some(numbers) => Mask::of_documents(numbers.tensor())?,
            None => Mask::of_documents(&self.numbers(tokens)?)?,
        };
        if tokens.dims().get(..2) != Some(documents.dims()) {
            let message = format!(
                "the numbers of documents are {}, the tokens {}: one number for each token is expected",
                documents.shape(),
                tokens.shape()
            );
            return Err(Error::shape("document_mask", message));
        }
        let mask = match mask {
            Some(mask) => documents.and(mask)?,
            None => documents,
        };
        Ok(Value::One(tokens.clone(), Some(mask)))
    }

    fn build(&mut self, input: &Shapes, _: &mut Init) -> Result<Shapes> {
        match input.parts() {
            [tokens] | [tokens, _] => Ok(tokens.clone()),
            parts => Err(arity("tokens, or tokens and the numbers of their documents", parts.len())),
        }
    }
}
