//! What is asked for.

use super::beams::Beams;
use super::sampling::Sampling;
use crate::{Error, Result};

/// How a model goes on with prompts: how long, by which search, and what ends a text. At first 200 tokens are drawn as the model says.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    pub(super) max_tokens: usize,
    pub(super) search: Search,
    pub(super) stops: Vec<String>,
    pub(super) stop_tokens: Vec<i64>,
    pub(super) seed: u64,
    pub(super) batch_size: usize,
}

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Search {
    Sampling(Sampling),
    Beams(Beams),
}

/// Tokens, where nothing else is said.
const MAX_TOKENS: usize = 200;
/// Prompts side by side, where nothing else is said.
const BATCH_SIZE: usize = 16;

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions {
            max_tokens: MAX_TOKENS,
            search: Search::Sampling(Sampling::new()),
            stops: Vec::new(),
            stop_tokens: Vec::new(),
            seed: 0,
            batch_size: BATCH_SIZE,
        }
    }
}

impl GenerateOptions {
    /// 200 tokens, drawn as the model says.
    pub fn new() -> Self {
        GenerateOptions::default()
    }

    /// Tokens that a text gets at most.
    #[must_use]
    pub fn max_tokens(self, tokens: usize) -> Self {
        GenerateOptions { max_tokens: tokens, ..self }
    }

    /// Tokens are drawn like this.
    #[must_use]
    pub fn sampling(self, sampling: Sampling) -> Self {
        GenerateOptions { search: Search::Sampling(sampling), ..self }
    }

    /// Beam search in the place of sampling: the best of `count` texts that are followed side by side. Texts are compared by the logarithm of their
    /// probability, divided by their number of tokens to the power of `length_penalty`: 0 compares probabilities, 1 the mean of each token's,
    /// and more prefers long texts. Nothing is random.
    #[must_use]
    pub fn beams(self, count: usize, length_penalty: f64) -> Self {
        GenerateOptions { search: Search::Beams(Beams { count, length_penalty }), ..self }
    }

    /// A text ends before this one; again for others.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stops.push(text.into());
        self
    }

    /// A text ends with this token; again for others. With the tokenizer's own ([`end_of_text`](crate::datasets::Tokenizer::end_of_text)) it
    /// always ends.
    #[must_use]
    pub fn stop_token(mut self, token: i64) -> Self {
        self.stop_tokens.push(token);
        self
    }

    /// Chooses what is drawn at random.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        GenerateOptions { seed, ..self }
    }

    /// Prompts side by side, at most; by default 16. The texts do not depend on it.
    #[must_use]
    pub fn batch_size(self, prompts: usize) -> Self {
        GenerateOptions { batch_size: prompts, ..self }
    }

    /// Fails where a setting makes no sense.
    ///
    /// # Errors
    /// A length, a batch size or a number of beams of 0; an empty stop text; a length penalty that is not finite; those of [`Sampling::check`].
    pub fn check(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::value("GenerateOptions", message));
        if self.max_tokens == 0 || self.batch_size == 0 {
            return wrong("texts of 0 tokens or 0 prompts at a time: 1 or more are expected");
        }
        if self.stops.iter().any(String::is_empty) {
            return wrong("an empty stop text: it would end every text at once");
        }
        match &self.search {
            Search::Sampling(sampling) => sampling.check(),
            Search::Beams(beams) if beams.count == 0 => wrong("0 beams: 1 or more are expected"),
            Search::Beams(beams) if !beams.length_penalty.is_finite() => wrong("a length penalty that is not a number"),
            Search::Beams(_) => Ok(()),
        }
    }
}
