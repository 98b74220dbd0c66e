//! Tokens that come one by one, as text.

use crate::Result;
use crate::datasets::Tokenizer;

/// Turns tokens into text as they come, with what stands between two of them.
pub(super) struct Spelling<'t> {
    tokenizer: &'t Tokenizer,
    /// The last token of which all was shown, and those that came after it.
    tokens: Vec<i64>,
}

/// Bytes of a character, at most: more tokens than this are not waited for.
const CHARACTER: usize = 4;

impl<'t> Spelling<'t> {
    /// After a token that was shown, or at the beginning.
    pub(super) fn after(tokenizer: &'t Tokenizer, shown: Option<i64>) -> Self {
        Spelling { tokenizer, tokens: shown.into_iter().collect() }
    }

    /// What a token adds; nothing while a character of several tokens is not whole.
    pub(super) fn add(&mut self, token: i64) -> Result<String> {
        self.tokens.push(token);
        let all = self.tokenizer.decode(&self.tokens)?;
        if all.ends_with('\u{fffd}') && self.tokens.len() <= CHARACTER {
            return Ok(String::new());
        }
        self.shown(&all)
    }

    /// What was held back, where nothing more comes.
    pub(super) fn end(&mut self) -> Result<String> {
        let all = self.tokenizer.decode(&self.tokens)?;
        self.shown(&all)
    }

    fn shown(&mut self, all: &str) -> Result<String> {
        let before = self.tokenizer.decode(self.tokens.get(..1).unwrap_or_default())?;
        self.tokens.drain(..self.tokens.len().saturating_sub(1));
        Ok(all.strip_prefix(before.as_str()).unwrap_or(all).to_owned())
    }
}
