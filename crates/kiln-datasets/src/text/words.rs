//! A token for each word.

use super::counts::Counts;
use kiln_tensor::{Error, Result};
use std::collections::HashMap;
use unicode_segmentation::UnicodeSegmentation;

/// Which words a vocabulary has ([`Tokenizer::words`](crate::Tokenizer::words)).
///
/// Words are those of Unicode (UAX #29) in any language: `don't` is one word, `3.14` too; each mark of punctuation is a word of its
/// own. By default upper and lower case are the same, and all words are in the vocabulary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WordOptions {
    lowercase: bool,
    pub(super) size: usize,
    minimum_count: u64,
}

impl Default for WordOptions {
    fn default() -> Self {
        WordOptions { lowercase: true, size: usize::MAX, minimum_count: 1 }
    }
}

impl WordOptions {
    /// The defaults.
    pub fn new() -> Self {
        WordOptions::default()
    }

    /// Whether text is turned into lower case first.
    #[must_use]
    pub fn lowercase(self, lowercase: bool) -> Self {
        WordOptions { lowercase, ..self }
    }

    /// At most this many tokens, those of padding and of unknown words included: the most frequent words; of equally frequent ones the first
    /// in the order of their bytes.
    #[must_use]
    pub fn size(self, tokens: usize) -> Self {
        WordOptions { size: tokens, ..self }
    }

    /// Words that come less often are unknown.
    #[must_use]
    pub fn minimum_count(self, count: usize) -> Self {
        WordOptions { minimum_count: count as u64, ..self }
    }
}

/// Goes through the words of a text.
fn each_word(text: &str, lowercase: bool, mut f: impl FnMut(&str)) {
    let lower = lowercase.then(|| text.to_lowercase());
    let words = lower.as_deref().unwrap_or(text).split_word_bounds();
    words.filter(|word| !word.chars().all(char::is_whitespace)).for_each(&mut f);
}

/// Counts the words of the texts that it sees.
pub(super) struct WordLearner {
    options: WordOptions,
    counts: Counts,
}

impl WordLearner {
    pub(super) fn new(options: WordOptions) -> Self {
        WordLearner { options, counts: Counts::default() }
    }

    pub(super) fn add(&mut self, text: &str) {
        each_word(text, self.options.lowercase, |word| self.counts.add(word));
    }

    /// The vocabulary; `special` tokens are there beside the words.
    pub(super) fn finish(self, special: usize) -> Result<Words> {
        let WordOptions { lowercase, size, minimum_count } = self.options;
        if size <= special {
            let message = format!("a vocabulary of {size} tokens has no place for a word: {special} are special");
            return Err(Error::value("WordOptions", message));
        }
        let words = self.counts.into_sorted().into_iter();
        let words = words.take_while(|(_, count)| *count >= minimum_count).take(size - special);
        let words: Vec<String> = words.map(|(word, _)| word.into()).collect();
        match words.is_empty() {
            true if minimum_count > 1 => {
                Err(Error::value("Tokenizer", format!("no word of the texts comes {minimum_count} times")))
            }
            true => Err(Error::value("Tokenizer", "the texts have no word")),
            false => Ok(Words::new(lowercase, words)),
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Words {
    pub(super) lowercase: bool,
    pub(super) words: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Words {
    pub(super) fn new(lowercase: bool, words: Vec<String>) -> Self {
        let numbers = words.iter().cloned().zip(0..).collect();
        Words { lowercase, words, numbers }
    }

    /// The first word that is there twice.
    pub(super) fn twice(&self) -> Option<&str> {
        self.words
            .iter()
            .enumerate()
            .find(|(number, word)| self.numbers[*word] != *number)
            .map(|(_, word)| word.as_str())
    }

    /// The number of each word, none of unknown ones.
    pub(super) fn encode(&self, text: &str) -> Vec<Option<usize>> {
        let mut numbers = Vec::new();
        each_word(text, self.lowercase, |word| numbers.push(self.numbers.get(word).copied()));
        numbers
    }

    /// The first word of a text that is unknown.
    pub(super) fn first_unknown(&self, text: &str) -> Option<String> {
        let mut unknown = None;
        each_word(text, self.lowercase, |word| {
            if unknown.is_none() && !self.numbers.contains_key(word) {
                unknown = Some(word.to_owned());
            }
        });
        unknown
    }
}
