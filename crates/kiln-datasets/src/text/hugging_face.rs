//! Tokenizers of Hugging Face's crate `tokenizers`, of any kind.

use kiln_tensor::{Error, ErrorKind, Result};
use serde_json::Value;
use std::str::FromStr;
use tokenizers::Tokenizer;

#[derive(Clone, Debug)]
pub(super) struct HuggingFace {
    tokenizer: Box<Tokenizer>,
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
        Ok(HuggingFace { tokenizer: Box::new(tokenizer), len })
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
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| failed("encode", &*error))?;
        Ok(encoding.get_ids().iter().map(|&id| Some(id as usize)).collect())
    }

    pub(super) fn decode(&self, tokens: &[usize]) -> Result<String> {
        let ids: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
        self.tokenizer.decode(&ids, false).map_err(|error| failed("decode", &*error))
    }
}

#[cold]
fn failed(operation: &'static str, error: &(dyn std::error::Error + Send + Sync)) -> Error {
    Error::new(ErrorKind::Value, operation, error.to_string())
}
