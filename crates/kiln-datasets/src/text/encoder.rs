//! What was learned from the texts of a table.

use super::options::each_text;
use super::tokenizer::Tokenizer;
use crate::csv::{list, short, wrong_in};
use crate::{Csv, Padded, SequenceDataset, pad_sequences};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor, nearest};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::num::NonZeroUsize;

/// How the texts of a table become tokens and their classes labels, as it was learned from the training rows
/// ([`TextOptions::fit`](crate::TextOptions::fit)). It is a value that is saved as JSON beside the model, and applied to other tables and
/// texts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TextEncoder {
    pub(super) text: String,
    pub(super) target: String,
    /// In order.
    pub(super) classes: Vec<String>,
    pub(super) tokenizer: Tokenizer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_length: Option<NonZeroUsize>,
    /// Whether rows without a text or a class are left out.
    pub(super) drop_missing: bool,
}

impl TextEncoder {
    /// The column of texts.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The column that is predicted.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The classes' names by their labels, in order.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// What makes tokens of texts; its [`len`](Tokenizer::len) is the vocabulary of the model's embedding.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The most tokens that a text has; longer ones are cut.
    pub fn max_length(&self) -> Option<usize> {
        self.max_length.map(NonZeroUsize::get)
    }

    /// The rows as samples: batches of tokens (n, longest of the batch), i64, filled up with 0, with their masks and the labels (n,), i64.
    /// The tokens of all rows are in memory, 8 bytes each.
    ///
    /// # Errors
    /// A column that the table lacks; with the line: a class that the training rows did not have, a missing text or class, where such rows
    /// are not dropped. A table of which no row is left.
    pub fn dataset(&self, csv: &Csv) -> Result<SequenceDataset> {
        let numbers: HashMap<&str, i64> = self.classes.iter().map(String::as_str).zip(0..).collect();
        let (mut texts, mut labels) = (Vec::new(), Vec::new());
        each_text(csv, [(&self.text, "text"), (&self.target, "class")], self.drop_missing, |text, class| {
            texts.push(self.tokens(text)?);
            labels.push(*numbers.get(class).ok_or_else(|| self.unknown(class))?);
            Ok(())
        })?;
        if texts.is_empty() {
            return Err(Error::value("TextEncoder", "no row is left: each lacks its text or class"));
        }
        SequenceDataset::of_tokens(texts, self.tokenizer.len())?.labels(labels)
    }

    /// The tokens of texts that are to be predicted, (n, longest), i64, filled up with 0. A text without a word, or an empty one, is one
    /// unknown token.
    ///
    /// # Errors
    /// Out of memory.
    pub fn inputs<T: AsRef<str>>(&self, texts: &[T], device: &Device) -> Result<Tensor> {
        Ok(self.padded(texts, device)?.values)
    }

    /// As [`TextEncoder::inputs`], with the mask (n, longest) that says which tokens are a text's own: for models that look at the mask of
    /// their input, as batches of training have one.
    ///
    /// # Errors
    /// Out of memory.
    pub fn padded<T: AsRef<str>>(&self, texts: &[T], device: &Device) -> Result<Padded> {
        let tokens: Vec<Vec<i64>> = texts.iter().map(|text| self.tokens(text.as_ref())).collect::<Result<_>>()?;
        let tokens: Vec<&[i64]> = tokens.iter().map(Vec::as_slice).collect();
        pad_sequences(&tokens, 0, 0, device)
    }

    /// The tokens of a text, at least one.
    fn tokens(&self, text: &str) -> Result<Vec<i64>> {
        let mut tokens = self.tokenizer.encode(text)?;
        tokens.truncate(self.max_length.map_or(usize::MAX, NonZeroUsize::get));
        if tokens.is_empty() {
            tokens.extend(self.tokenizer.unknown());
        }
        Ok(tokens)
    }

    #[cold]
    fn unknown(&self, class: &str) -> Error {
        let names = self.classes.iter().map(String::as_str);
        let hint = match nearest(class, names.clone()) {
            Some(nearest) => format!("the nearest is {}", short(nearest)),
            None => format!("there are {}", list(names)),
        };
        let class = short(class);
        wrong_in(&self.target, &format!("{class} is not among the classes of the training rows: {hint}"))
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From its JSON.
    ///
    /// # Errors
    /// Text that is not the JSON of a `TextEncoder`.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::Format, "TextEncoder", format!("this is not a text encoder's JSON: {e}"))
                .with_source(e)
        })
    }
}
