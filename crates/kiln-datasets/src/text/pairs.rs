//! Pairs of texts: a model reads the first and makes the second.

use super::options::each_text;
use super::tokenizer::Tokenizer;
use crate::csv::wrong_in;
use crate::sequences::{Padded, check_indices, pad_sequences};
use crate::{Batch, Csv, Dataset};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensors};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// How pairs of texts in the columns of a table become tokens, as it was learned from the training rows
/// ([`TextOptions::fit_pairs`](crate::TextOptions::fit_pairs)): for models with an encoder and a decoder, such as those that translate.
/// Both texts have one vocabulary. It is a value that is saved as JSON beside the model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PairEncoder {
    text: String,
    target: String,
    tokenizer: Tokenizer,
    max_length: NonZeroUsize,
    /// Whether rows without one of the texts are left out.
    drop_missing: bool,
}

impl PairEncoder {
    /// The token before a second text, as the tokenizer spells it.
    pub const BEGIN: &str = "<s>";
    /// The token after a second text, as the tokenizer spells it.
    pub const END: &str = "</s>";

    /// With the length of the longest text in `train`, where there is no other.
    pub(super) fn new(
        [text, target]: [String; 2],
        tokenizer: Tokenizer,
        max_length: Option<NonZeroUsize>,
        drop_missing: bool,
        train: &Csv,
    ) -> Result<Self> {
        let tokenizer = tokenizer.with_special(Self::BEGIN)?.with_special(Self::END)?;
        let mut pairs = PairEncoder { text, target, tokenizer, max_length: NonZeroUsize::MAX, drop_missing };
        pairs.max_length = match max_length {
            Some(length) => length,
            None => NonZeroUsize::new(pairs.dataset(train)?.longest()).unwrap_or(NonZeroUsize::MIN),
        };
        Ok(pairs)
    }

    /// The column of the texts that are read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The column of the texts that are made.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What makes tokens of both texts; its [`len`](Tokenizer::len) is the vocabulary of the model's embeddings, and the number of its
    /// outputs.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The most tokens that a text has, the second one with the token at its end.
    pub fn max_length(&self) -> usize {
        self.max_length.get()
    }

    /// The rows as samples. Pairs with a text that is longer than [`max_length`](PairEncoder::max_length) are left out
    /// ([`PairDataset::left_out`]). The tokens of all rows are in memory, 8 bytes each.
    ///
    /// # Errors
    /// A column that the table lacks; with the line: a missing text, where such rows are not dropped. A table of which no row is left.
    pub fn dataset(&self, csv: &Csv) -> Result<PairDataset> {
        let (begin, end) = (self.special(Self::BEGIN)?, self.special(Self::END)?);
        let (mut pairs, mut left_out) = (Vec::new(), 0);
        each_text(csv, [(&self.text, "text"), (&self.target, "text")], self.drop_missing, |text, target| {
            let source = self.tokenizer.encode_ordinary(text)?;
            if source.is_empty() {
                return Err(wrong_in(&self.text, "the text has no token"));
            }
            let target = [&[begin], self.tokenizer.encode_ordinary(target)?.as_slice(), &[end]].concat();
            if source.len().max(target.len() - 1) > self.max_length() {
                left_out += 1;
            } else {
                pairs.push(Pair { source, target });
            }
            Ok(())
        })?;
        if pairs.is_empty() {
            let message = match left_out {
                0 => "no pair of texts is left: each row lacks one of its texts".to_owned(),
                _ => format!("no pair of texts is left: {left_out} have more than {} tokens", self.max_length),
            };
            return Err(Error::value("PairEncoder", message));
        }
        Ok(PairDataset { pairs, left_out, shape: [self.max_length()] })
    }

    /// Texts that a model is to read: tokens (n, longest), i64, filled up with 0, and their mask.
    ///
    /// # Errors
    /// By the text's number, from 1: a text without a token, one with a word or a character that the training rows did not have, one with
    /// more tokens than the model reads.
    pub fn padded<T: AsRef<str>>(&self, texts: &[T], device: &Device) -> Result<Padded> {
        let tokens = texts.iter().enumerate().map(|(at, text)| {
            self.source(text.as_ref()).map_err(|error| {
                let place = if texts.len() > 1 { format!("text {}: ", at + 1) } else { String::new() };
                Error::new(error.kind(), "", format!("{place}{}", error.message()))
            })
        });
        let tokens: Vec<Vec<i64>> = tokens.collect::<Result<_>>()?;
        let tokens: Vec<&[i64]> = tokens.iter().map(Vec::as_slice).collect();
        pad_sequences(&tokens, 0, 0, device)
    }

    /// The tokens of a text that is to be read.
    fn source(&self, text: &str) -> Result<Vec<i64>> {
        if let Some(unknown) = self.tokenizer.first_unknown(text) {
            let message =
                format!("{unknown:?} is unknown: it is not in the vocabulary that the model was trained with");
            return Err(Error::value("", message));
        }
        let tokens = self.tokenizer.encode_ordinary(text)?;
        match tokens.len() {
            0 => Err(Error::value("", "a text with at least one token is expected, got an empty one")),
            count if count > self.max_length() => {
                let message = format!("the text has {count} tokens, and the model reads at most {}", self.max_length);
                Err(Error::value("", message))
            }
            _ => Ok(tokens),
        }
    }

    /// A special token.
    pub(super) fn special(&self, text: &str) -> Result<i64> {
        self.tokenizer.special(text).ok_or_else(|| {
            Error::new(ErrorKind::Format, "PairEncoder", format!("the tokenizer has no special token {text}"))
        })
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From its JSON.
    ///
    /// # Errors
    /// Text that is not the JSON of a `PairEncoder`.
    pub fn from_json(json: &str) -> Result<Self> {
        let pairs: PairEncoder = serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::Format, "PairEncoder", format!("this is not a pair encoder's JSON: {e}"))
                .with_source(e)
        })?;
        pairs.special(Self::BEGIN).and_then(|_| pairs.special(Self::END))?;
        Ok(pairs)
    }
}

/// Tokens of both texts; those of the second with the tokens before and after it.
#[derive(Clone, Debug)]
struct Pair {
    source: Vec<i64>,
    target: Vec<i64>,
}

/// Pairs of texts as samples for teacher forcing ([`PairEncoder::dataset`]).
///
/// A batch has two inputs, the tokens of the first text, (n, S), and those of the second behind the token [`BEGIN`](PairEncoder::BEGIN),
/// (n, T), with their masks. The targets, (n, T), are what comes next at each step: the tokens of the second text, then
/// [`END`](PairEncoder::END). All are i64, filled up with 0, which the second mask leaves out of the loss.
#[derive(Clone, Debug)]
pub struct PairDataset {
    pairs: Vec<Pair>,
    left_out: usize,
    shape: [usize; 1],
}

impl PairDataset {
    /// How many pairs were left out, as one of their texts is too long.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Tokens of the longest text.
    fn longest(&self) -> usize {
        self.pairs.iter().map(|pair| pair.source.len().max(pair.target.len() - 1)).max().unwrap_or(0)
    }
}

impl Dataset for PairDataset {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn input_shapes(&self) -> Vec<Vec<usize>> {
        vec![self.shape.to_vec(); 2]
    }

    /// That of the longer text.
    fn length(&self, index: usize) -> Option<usize> {
        self.pairs.get(index).map(|pair| pair.source.len().max(pair.target.len() - 1))
    }

    fn batch(&self, indices: &[usize], _: &[usize], device: &Device) -> Result<Batch> {
        check_indices("PairDataset", indices, self.len())?;
        let padded = |tokens: fn(&Pair) -> &[i64]| {
            let chosen: Vec<&[i64]> = indices.iter().map(|&index| tokens(&self.pairs[index])).collect();
            pad_sequences(&chosen, 0, 0, device)
        };
        let source = padded(|pair| &pair.source)?;
        let target = padded(|pair| &pair.target[..pair.target.len() - 1])?;
        let next = padded(|pair| &pair.target[1..])?;
        let batch = Batch::new(Tensors::from(source.values).with(target.values), next.values);
        Ok(Batch { masks: vec![Some(source.mask), Some(target.mask)], ..batch })
    }
}
