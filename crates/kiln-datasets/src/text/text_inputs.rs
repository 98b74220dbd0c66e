//! Texts as the inputs of a model.

use super::template::Part;
use super::tokenizer::Tokenizer;
use crate::{Padded, pad_sequences};
use kiln_tensor::{Device, Error, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Texts, or pairs of texts, as a model that was trained with these tokens reads them: with the tokens that it expects around a text, filled
/// up to one length, with a mask and segments. For BERT that is `[CLS] text [SEP]` and `[CLS] first [SEP] second [SEP]`, as
/// `tokenizer(texts, padding=True, truncation=True)` of `transformers` gives it.
///
/// A [`Tokenizer`] of BERT's kind adds `[CLS]` and `[SEP]`. One that Hugging Face's crate reads (the feature `tokenizers`) adds what its
/// `post_processor` says. All others add nothing, and take no pairs.
///
/// Special tokens that a text itself names are found, as [`Tokenizer::encode`] and `transformers` do.
///
/// ```
/// use kiln_datasets::{TextInputs, Tokenizer};
/// use kiln_tensor::Device;
/// let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nfine\nfilm\n##s\n?"; // `Tokenizer::load("models/bert-base-uncased")?`
/// let inputs = TextInputs::new(Tokenizer::from_word_pieces(vocabulary, true)?).max_length(7);
/// let texts = inputs.texts(&["A fine film", "films"], &Device::cpu())?;
/// assert_eq!(texts.tokens.to_vec::<i64>()?, [2, 4, 5, 6, 3, 2, 6, 7, 3, 0]);
/// assert_eq!(texts.mask.to_vec::<bool>()?, [true, true, true, true, true, true, true, true, true, false]);
///
/// let pairs = inputs.pairs(&[("Fine films?", "a film")], &Device::cpu())?;
/// assert_eq!(pairs.tokens.to_vec::<i64>()?, [2, 5, 6, 3, 4, 6, 3]); // cut to 7 tokens
/// assert_eq!(pairs.segments.to_vec::<i64>()?, [0, 0, 0, 0, 1, 1, 1]); // `token_type_ids`
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TextInputs {
    tokenizer: Tokenizer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_length: Option<usize>,
}

/// What a model reads of some texts: each (n, longest).
#[derive(Clone, Debug)]
pub struct EncodedTexts {
    /// i64: the tokens (`input_ids`).
    pub tokens: Tensor,
    /// bool: false at padding (`attention_mask`).
    pub mask: Tensor,
    /// i64: of which text of a pair each token is, 0 or 1 (`token_type_ids`).
    pub segments: Tensor,
}

/// Tokens, and the segment of each.
type Row = (Vec<i64>, Vec<i64>);

impl TextInputs {
    /// With these tokens, of any length.
    pub fn new(tokenizer: Tokenizer) -> Self {
        TextInputs { tokenizer, max_length: None }
    }

    /// At most this many tokens, those that are added included: longer texts are truncated at the end, of a pair the longer
    /// one (`truncation="longest_first"`). It is at most the number of the model's positions. By default nothing is cut.
    #[must_use]
    pub fn max_length(self, tokens: usize) -> Self {
        TextInputs { max_length: Some(tokens), ..self }
    }

    /// What makes tokens of texts.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokens of a text, those around it included.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; a longest text that has no place for a token beside those around it; a vocabulary that lacks these.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>> {
        Ok(self.row(&[text])?.0)
    }

    /// The tokens of a pair of texts, those around them included, and the segment of each token: 0 or 1.
    ///
    /// # Errors
    /// As [`TextInputs::encode`]; a tokenizer that does not say how two texts become one.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<(Vec<i64>, Vec<i64>)> {
        self.row(&[first, second])
    }

    /// Texts as a batch.
    ///
    /// # Errors
    /// As [`TextInputs::encode`]; a text without a token, where none are added.
    pub fn texts<T: AsRef<str>>(&self, texts: &[T], device: &Device) -> Result<EncodedTexts> {
        self.batch(texts.iter().map(|text| self.row(&[text.as_ref()])), device)
    }

    /// Pairs of texts as a batch.
    ///
    /// # Errors
    /// As [`TextInputs::encode_pair`].
    pub fn pairs<A: AsRef<str>, B: AsRef<str>>(&self, pairs: &[(A, B)], device: &Device) -> Result<EncodedTexts> {
        self.batch(pairs.iter().map(|(first, second)| self.row(&[first.as_ref(), second.as_ref()])), device)
    }

    fn batch(&self, rows: impl Iterator<Item = Result<Row>>, device: &Device) -> Result<EncodedTexts> {
        let (tokens, segments): (Vec<_>, Vec<_>) = rows.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let filled = |rows: &[Vec<i64>], padding| {
            pad_sequences(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 0, padding, device)
        };
        let Padded { values, mask, .. } = filled(&tokens, self.tokenizer.padding().unwrap_or(0))?;
        Ok(EncodedTexts { tokens: values, mask, segments: filled(&segments, 0)?.values })
    }

    /// One text, or the two of a pair.
    fn row(&self, texts: &[&str]) -> Result<Row> {
        let template = self.tokenizer.template(texts.len() == 2)?;
        let mut texts: Vec<Vec<i64>> = texts.iter().map(|text| self.tokenizer.encode(text)).collect::<Result<_>>()?;
        let added = template.iter().filter(|(part, _)| matches!(part, Part::Token(_))).count();
        if let Some(longest) = self.max_length {
            let left = longest.checked_sub(added).filter(|&left| left >= texts.len());
            let left = left.ok_or_else(|| {
                let message = format!(
                    "at most {longest} tokens have no place for a text: {added} are added, so {} or more are needed",
                    added + texts.len()
                );
                Error::value("TextInputs", message)
            })?;
            cut(&mut texts, left);
        }
        let (mut tokens, mut segments) = (Vec::new(), Vec::new());
        for (part, segment) in template {
            match part {
                Part::Text(at) => tokens.extend(texts.get(at).into_iter().flatten()),
                Part::Token(number) => tokens.push(self.tokenizer.token(number)),
            }
            segments.resize(tokens.len(), segment);
        }
        Ok((tokens, segments))
    }
}

/// Cuts texts to so many tokens in all, the longer one of a pair first; of two that are equally long, the first has the odd token less.
fn cut(texts: &mut [Vec<i64>], left: usize) {
    match texts {
        [text] => text.truncate(left),
        [first, second] if first.len() + second.len() > left => {
            let (shorter, longer) = if first.len() > second.len() { (second, first) } else { (first, second) };
            shorter.truncate(left / 2);
            longer.truncate(left - shorter.len());
        }
        _ => {}
    }
}
