//! A token for each character.

use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Characters {
    characters: Vec<char>,
    numbers: BTreeMap<char, usize>,
}

impl Characters {
    /// In the order of Unicode.
    pub(super) fn new(characters: BTreeSet<char>) -> Self {
        let characters: Vec<char> = characters.into_iter().collect();
        let numbers = characters.iter().copied().zip(0..).collect();
        Characters { characters, numbers }
    }

    pub(super) fn len(&self) -> usize {
        self.characters.len()
    }

    /// All of them in order.
    pub(super) fn text(&self) -> String {
        self.characters.iter().collect()
    }

    pub(super) fn get(&self, number: usize) -> Option<char> {
        self.characters.get(number).copied()
    }

    /// Whether a character is among them.
    pub(super) fn has(&self, character: char) -> bool {
        self.numbers.contains_key(&character)
    }

    /// The number of each character; none of an unknown one, which is an error unless `unknown` is allowed. Positions count from the
    /// beginning of the text before.
    pub(super) fn encode(&self, before: &str, text: &str, unknown: bool) -> Result<Vec<Option<usize>>> {
        let number = |(position, character)| match self.numbers.get(&character) {
            None if !unknown => Err(self.lacks(character, before.chars().count() + position)),
            number => Ok(number.copied()),
        };
        text.chars().enumerate().map(number).collect()
    }

    #[cold]
    fn lacks(&self, character: char, position: usize) -> Error {
        let count = self.len();
        let message =
            format!("{character:?} at position {position} is not among the {count} characters of the vocabulary");
        Error::new(ErrorKind::Index, "Tokenizer", message)
    }
}
