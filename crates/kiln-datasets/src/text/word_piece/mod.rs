//! A token for each word or part of a word, as in BERT.

mod files;
mod normalize;
mod unicode;

pub(super) use files::{from_json, from_vocabulary, normalizer, other_kind};
pub(super) use normalize::Normalizer;

use std::collections::{BTreeSet, HashMap};

/// What tokens begin with that go on with a word.
const GOES_ON: &str = "##";
/// Longer words are unknown: characters.
const LONGEST: usize = 100;

/// WordPiece (Schuster & Nakajima 2012; Devlin et al. 2018): a word is cut into the longest tokens that it begins with.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct WordPiece {
    tokens: Vec<String>,
    /// Of all tokens but the special ones, which no word has.
    numbers: HashMap<String, usize>,
    pub(super) unknown: usize,
    pub(super) normalizer: Normalizer,
}

impl WordPiece {
    /// Of tokens by number, of which some are special; or what is wrong with them.
    pub(super) fn new(
        tokens: Vec<String>,
        unknown: usize,
        normalizer: Normalizer,
        special: &BTreeSet<u32>,
    ) -> Result<Self, String> {
        if unknown >= tokens.len() {
            return Err(format!("the token for unknown words is {unknown}, and there are {} tokens", tokens.len()));
        }
        let mut numbers = HashMap::with_capacity(tokens.len());
        for (number, token) in tokens.iter().enumerate() {
            if !special.contains(&(number as u32)) && numbers.insert(token.clone(), number).is_some() {
                return Err(format!("the token {token:?} is there twice"));
            }
        }
        Ok(WordPiece { tokens, numbers, unknown, normalizer })
    }

    /// By number.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The tokens of a text. A word that no tokens make is one unknown token.
    pub(super) fn encode(&self, text: &str) -> Vec<Option<usize>> {
        let mut numbers = Vec::new();
        self.normalizer.each_word(text, |word| {
            let start = numbers.len();
            if self.word(word, &mut numbers).is_none() {
                numbers.truncate(start);
                numbers.push(Some(self.unknown));
            }
        });
        numbers
    }

    /// Adds the tokens of a word; none if no tokens make it.
    fn word(&self, word: &str, to: &mut Vec<Option<usize>>) -> Option<()> {
        if word.chars().count() > LONGEST {
            return None;
        }
        let mut from = 0;
        while from < word.len() {
            let prefix = if from > 0 { GOES_ON } else { "" };
            let rest = [prefix, &word[from..]].concat();
            // The longest beginning first.
            let ends = rest.char_indices().map(|(at, character)| at + character.len_utf8()).rev();
            let mut ends = ends.take_while(|&end| end > prefix.len());
            let (end, number) = ends.find_map(|end| Some((end, *self.numbers.get(&rest[..end])?)))?;
            to.push(Some(number));
            from += end - prefix.len();
        }
        Some(())
    }

    /// Adds the words of tokens, which there are, with a space between them, but none before `.`, `,`, `!` and `?`.
    pub(super) fn write(&self, numbers: &[usize], to: &mut Vec<u8>) {
        for token in numbers.iter().filter_map(|&number| self.tokens.get(number)) {
            let more = token.strip_prefix(GOES_ON).filter(|_| !to.is_empty());
            if more.is_none() && !to.is_empty() && !token.starts_with(['.', ',', '!', '?']) {
                to.push(b' ');
            }
            to.extend_from_slice(more.unwrap_or(token).as_bytes());
        }
    }
}
