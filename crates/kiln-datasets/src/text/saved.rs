//! A tokenizer as it is saved.

use super::byte_pairs::{BytePairs, Vocabulary};
use super::characters::Characters;
#[cfg(feature = "tokenizers")]
use super::hugging_face::HuggingFace;
use super::special::Special;
use super::tokenizer::Tokenizer;
use super::units::Units;
use super::word_piece::{Normalizer, WordPiece};
use super::words::Words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    padding: bool,
    unknown: bool,
    #[serde(flatten)]
    units: SavedUnits,
    /// By numbers of units; those after the units follow them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    special: Vec<(String, u32)>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum SavedUnits {
    /// In the order of Unicode.
    Characters {
        characters: String,
    },
    /// In the order of their tokens.
    Words {
        lowercase: bool,
        words: Vec<String>,
    },
    BytePairs {
        /// The two tokens that are joined, to the next one where `tokens` do not say otherwise; without the tokens that come first.
        merges: Vec<(u32, u32)>,
        /// Of a vocabulary in another order than that of bytes and pairs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tokens: Vec<String>,
    },
    WordPiece {
        tokens: Vec<String>,
        unknown_token: usize,
        normalizer: Normalizer,
    },
    /// Hugging Face's tokenizer.json.
    HuggingFace {
        tokenizer: serde_json::Value,
    },
}

impl From<Tokenizer> for Saved {
    fn from(Tokenizer { padding, unknown, units, special }: Tokenizer) -> Self {
        let units = match units {
            Units::Characters(characters) => SavedUnits::Characters { characters: characters.text() },
            Units::Words(Words { lowercase, words, .. }) => SavedUnits::Words { lowercase, words },
            Units::BytePairs(pairs) => SavedUnits::BytePairs {
                merges: pairs.merges(),
                tokens: match pairs.is_in_order() {
                    true => Vec::new(),
                    false => pairs.names(&special.all().iter().map(|(_, number)| *number).collect()),
                },
            },
            Units::WordPiece(pieces) => SavedUnits::WordPiece {
                tokens: pieces.tokens().to_vec(),
                unknown_token: pieces.unknown,
                normalizer: pieces.normalizer,
            },
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => SavedUnits::HuggingFace { tokenizer: other.to_json() },
        };
        Saved { padding, unknown, units, special: special.all().to_vec() }
    }
}

impl TryFrom<Saved> for Tokenizer {
    type Error = String;

    fn try_from(Saved { padding, unknown, units, special }: Saved) -> Result<Self, String> {
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
            SavedUnits::BytePairs { merges, tokens } if tokens.is_empty() => Units::BytePairs(BytePairs::new(merges)?),
            SavedUnits::BytePairs { merges, tokens } => {
                let special = special.iter().map(|(_, number)| *number).collect();
                Units::BytePairs(Vocabulary { tokens, merges, special }.build()?.0)
            }
            SavedUnits::WordPiece { tokens, unknown_token, normalizer } => {
                let special = special.iter().map(|(_, number)| *number).collect();
                Units::WordPiece(WordPiece::new(tokens, unknown_token, normalizer, &special)?)
            }
            #[cfg(feature = "tokenizers")]
            SavedUnits::HuggingFace { tokenizer } => Units::HuggingFace(HuggingFace::new(&tokenizer)?),
            #[cfg(not(feature = "tokenizers"))]
            SavedUnits::HuggingFace { .. } => {
                return Err("it is one of Hugging Face's: build with the feature `tokenizers`".to_owned());
            }
        };
        special_in_order(&special, units.len())?;
        Ok(Tokenizer { padding, unknown, units, special: Special::new(special) })
    }
}

/// Fails unless special tokens have texts and numbers of their own, and those that are not among the units follow them.
fn special_in_order(special: &[(String, u32)], units: usize) -> Result<(), String> {
    let texts: BTreeSet<&str> = special.iter().map(|(text, _)| text.as_str()).collect();
    let numbers: BTreeSet<usize> = special.iter().map(|(_, number)| *number as usize).collect();
    let after = numbers.range(units..).copied();
    if texts.contains("") || texts.len() < special.len() || numbers.len() < special.len() {
        return Err("a special token is empty, or there twice".to_owned());
    }
    match after.clone().eq(units..units + after.count()) {
        true => Ok(()),
        false => Err(format!("the special tokens do not follow the {units} others")),
    }
}
