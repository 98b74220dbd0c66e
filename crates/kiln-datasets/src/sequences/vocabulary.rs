//! Characters as numbers.

use kiln_tensor::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// The characters of a text, numbered in their order.
///
/// ```
/// use kiln_datasets::Vocabulary;
/// let vocabulary = Vocabulary::of("hello");
/// assert_eq!(vocabulary.to_string(), "ehlo");
/// let tokens = vocabulary.encode("hole")?;
/// assert_eq!(tokens, [1, 3, 2, 0]);
/// assert_eq!(vocabulary.decode(&tokens)?, "hole");
/// assert!(vocabulary.encode("help").unwrap_err().to_string().contains("'p' at position 3"));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vocabulary {
    characters: Vec<char>,
    numbers: BTreeMap<char, i64>,
}

impl Vocabulary {
    /// The different characters of a text, in the order of Unicode.
    pub fn of(text: &str) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let numbers = characters.iter().copied().zip(0..).collect();
        Vocabulary { characters, numbers }
    }

    /// How many characters there are.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// A text as numbers.
    ///
    /// # Errors
    /// A character that is not in the vocabulary, with its position.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let number = |(position, character): (usize, char)| {
            self.numbers.get(&character).copied().ok_or_else(|| {
                Error::new(
                    ErrorKind::Index,
                    "Vocabulary",
                    format!(
                        "{character:?} at position {position} is not among the {} characters of the vocabulary",
                        self.len()
                    ),
                )
            })
        };
        text.chars().enumerate().map(number).collect()
    }

    /// Numbers as a text.
    ///
    /// # Errors
    /// A number that is none of a character, with its position.
    pub fn decode(&self, tokens: &[i64]) -> Result<String> {
        let character = |(position, &token): (usize, &i64)| {
            let found = usize::try_from(token).ok().and_then(|token| self.characters.get(token));
            found.copied().ok_or_else(|| {
                Error::new(
                    ErrorKind::Index,
                    "Vocabulary",
                    format!(
                        "token {token} at position {position} is out of range, expected 0 to {}",
                        self.len() as i64 - 1
                    ),
                )
            })
        };
        tokens.iter().enumerate().map(character).collect()
    }
}

/// All characters in order: the text that the vocabulary can be made of again.
impl std::fmt::Display for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.characters.iter().try_for_each(|character| write!(f, "{character}"))
    }
}
