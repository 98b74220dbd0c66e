//! Tokenizers of Hugging Face's crate `tokenizers`, of any kind.

use super::template::{Part, Template};
use kiln_tensor::{Error, Result};
use serde_json::Value;
use std::collections::HashSet;
use std::str::FromStr;
use std::sync::OnceLock;
use tokenizers::{Encoding, Token, Tokenizer};

/// The numbers that stand for texts where a template is asked for: this for the first text, and the one below for the second.
const TEXT: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct HuggingFace {
    tokenizer: Box<Tokenizer>,
    /// The same, which finds no special tokens: made when it is first needed.
    ordinary: OnceLock<Box<Tokenizer>>,
    /// The special tokens, but for that of unknown words.
    special: HashSet<u32>,
    /// The highest number of a token plus 1.
    len: usize,
}

impl PartialEq for HuggingFace {
    /// The same as JSON.
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl HuggingFace {
    /// From a tokenizer.json, or what is wrong with it.
    pub(super) fn new(json: &Value) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_str(&json.to_string()).map_err(|error| error.to_string())?;
        // Texts are neither cut nor filled up here.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        let len = tokenizer.get_vocab(true).into_values().max().map_or(0, |highest| highest as usize + 1);
        let unknown = tokenizer.token_to_id(json["model"]["unk_token"].as_str().unwrap_or_default());
        let unknown = json["model"]["unk_id"].as_u64().and_then(|id| u32::try_from(id).ok()).or(unknown);
        let added = tokenizer.get_added_tokens_decoder().into_iter();
        let special = added.filter(|(id, token)| token.special && Some(*id) != unknown).map(|(id, _)| id).collect();
        Ok(HuggingFace { tokenizer: Box::new(tokenizer), ordinary: OnceLock::new(), special, len })
    }

    pub(super) fn to_json(&self) -> Value {
        // What was read as JSON can be written.
        serde_json::to_value(&*self.tokenizer).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of a token that is found in texts whole.
    pub(super) fn special(&self, text: &str) -> Option<u32> {
        self.tokenizer.get_added_vocabulary().get_vocab().get(text).copied()
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<Option<usize>>> {
        Ok(numbers(encoded(self.tokenizer.encode_fast(text, false))?.get_ids()))
    }

    /// The tokens of a text in which nothing is special.
    pub(super) fn encode_ordinary(&self, text: &str) -> Result<Vec<Option<usize>>> {
        let mut ids = Vec::new();
        self.add_ordinary(text, &mut ids)?;
        Ok(numbers(&ids))
    }

    /// Adds the tokens of a text in which nothing is special.
    fn add_ordinary(&self, text: &str, to: &mut Vec<u32>) -> Result<()> {
        let ordinary = self.ordinary.get_or_init(|| {
            let mut ordinary = self.tokenizer.clone();
            ordinary.set_encode_special_tokens(true);
            ordinary
        });
        let encoding = encoded(ordinary.encode(text, false))?;
        let (ids, places) = (encoding.get_ids(), encoding.get_offsets());
        // A model that has the special tokens among its words still finds them: then the text is cut within each, and its parts are encoded.
        let found = ids.iter().zip(places).filter(|(id, _)| self.special.contains(id));
        let cuts = found.filter_map(|(_, &(start, end))| {
            let (at, _) = text.get(start..end)?.char_indices().nth(1)?;
            Some(start + at)
        });
        let cuts: Vec<usize> = cuts.collect();
        if cuts.is_empty() {
            to.extend(ids);
            return Ok(());
        }
        let starts = [0].into_iter().chain(cuts.iter().copied());
        for (start, end) in starts.zip(cuts.iter().copied().chain([text.len()])) {
            self.add_ordinary(text.get(start..end).unwrap_or_default(), to)?;
        }
        Ok(())
    }

    /// What a model reads of one text, or of a pair, as its `post_processor` says.
    pub(super) fn template(&self, pair: bool) -> Result<Template> {
        let text = |at: u32| Encoding::from_tokens(vec![Token::new(TEXT - at, String::new(), (0, 0))], at);
        let parts = encoded(self.tokenizer.post_process(text(0), pair.then(|| text(1)), true))?;
        let part = |&id: &u32| if TEXT - id < 2 { Part::Text((TEXT - id) as usize) } else { Part::Token(id) };
        let segments = parts.get_type_ids().iter().map(|&segment| i64::from(segment));
        Ok(parts.get_ids().iter().map(part).zip(segments).collect())
    }

    pub(super) fn decode(&self, tokens: &[usize]) -> Result<String> {
        let ids: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
        self.tokenizer.decode(&ids, false).map_err(|error| failed(&*error))
    }
}

/// Tokens as numbers of units, all of which are known.
fn numbers(ids: &[u32]) -> Vec<Option<usize>> {
    ids.iter().map(|&id| Some(id as usize)).collect()
}

/// What the crate gives, with its error as Kiln's.
fn encoded(given: tokenizers::Result<Encoding>) -> Result<Encoding> {
    given.map_err(|error| failed(&*error))
}

#[cold]
fn failed(error: &(dyn std::error::Error + Send + Sync)) -> Error {
    Error::value("Tokenizer", error.to_string())
}
