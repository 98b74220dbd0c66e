//! A tokenizer as it is saved.

use super::byte_pairs::BytePairs;
use super::characters::Characters;
use super::tokenizer::{Tokenizer, Units};
use super::words::Words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    padding: bool,
    unknown: bool,
    #[serde(flatten)]
    units: SavedUnits,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum SavedUnits {
    /// In the order of Unicode.
    Characters { characters: String },
    /// In the order of their tokens.
    Words { lowercase: bool, words: Vec<String> },
    /// The two tokens that are joined to the next one, without the special tokens.
    BytePairs { merges: Vec<(u32, u32)> },
}

impl From<Tokenizer> for Saved {
    fn from(Tokenizer { padding, unknown, units }: Tokenizer) -> Self {
        let units = match units {
            Units::Characters(characters) => SavedUnits::Characters { characters: characters.text() },
            Units::Words(Words { lowercase, words, .. }) => SavedUnits::Words { lowercase, words },
            Units::BytePairs(pairs) => SavedUnits::BytePairs { merges: pairs.into_merges() },
        };
        Saved { padding, unknown, units }
    }
}

impl TryFrom<Saved> for Tokenizer {
    type Error = String;

    fn try_from(Saved { padding, unknown, units }: Saved) -> Result<Self, String> {
        let units = match units {
            SavedUnits::Characters { characters: text } => {
                let characters: BTreeSet<char> = text.chars().collect();
                if !characters.iter().copied().eq(text.chars()) {
                    return Err("the characters are not in order".to_owned());
                }
                Units::Characters(Characters::new(characters))
            }
            SavedUnits::Words { lowercase, words } => {
                if !unknown {
                    return Err("there is no token for unknown words".to_owned());
                }
                let words = Words::new(lowercase, words);
                if let Some(word) = words.twice() {
                    return Err(format!("the word {word:?} is there twice"));
                }
                Units::Words(words)
            }
            SavedUnits::BytePairs { merges } => Units::BytePairs(BytePairs::new(merges)?),
        };
        Ok(Tokenizer { padding, unknown, units })
    }
}
