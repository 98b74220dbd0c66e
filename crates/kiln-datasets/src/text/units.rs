//! What tokens stand for.

use super::byte_pairs::BytePairs;
use super::characters::Characters;
#[cfg(feature = "tokenizers")]
use super::hugging_face::HuggingFace;
use super::special::Special;
use super::template::{Template, of_bert, plain};
use super::word_piece::WordPiece;
use super::words::Words;
use kiln_tensor::Result;

/// Tokens by their numbers, without those for padding and for what is unknown.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Units {
    Characters(Characters),
    Words(Words),
    BytePairs(BytePairs),
    WordPiece(WordPiece),
    #[cfg(feature = "tokenizers")]
    HuggingFace(HuggingFace),
}

impl Units {
    /// Whether texts have a space between units.
    pub(super) fn are_spaced(&self) -> bool {
        matches!(self, Units::Words(_) | Units::WordPiece(_))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Units::Characters(characters) => characters.len(),
            Units::Words(words) => words.words.len(),
            Units::BytePairs(pairs) => pairs.len(),
            Units::WordPiece(pieces) => pieces.tokens().len(),
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => other.len(),
        }
    }

    /// The numbers of a text that stands after another one; none of what is unknown, which is an error unless `unknown` is allowed.
    pub(super) fn encode(&self, before: &str, text: &str, unknown: bool) -> Result<Vec<Option<usize>>> {
        match self {
            Units::Characters(characters) => characters.encode(before, text, unknown),
            Units::Words(words) => Ok(words.encode(text)),
            Units::BytePairs(pairs) => pairs.encode(text, unknown),
            Units::WordPiece(pieces) => Ok(pieces.encode(text)),
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => other.encode(text),
        }
    }

    /// As [`Units::encode`], of a text in which nothing is special.
    pub(super) fn encode_ordinary(&self, text: &str, unknown: bool) -> Result<Vec<Option<usize>>> {
        match self {
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => other.encode_ordinary(text),
            // The special tokens of the others are not among what `encode` finds.
            _ => self.encode("", text, unknown),
        }
    }

    /// What a model reads of one text, or of a pair, by numbers.
    ///
    /// # Errors
    /// A pair where nothing says how two texts become one.
    pub(super) fn template(&self, pair: bool, special: &Special) -> Result<Template> {
        match self {
            Units::WordPiece(_) => of_bert(pair, special),
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => other.template(pair),
            _ => plain(pair),
        }
    }

    /// Adds what tokens, which there are, stand for.
    pub(super) fn write(&self, units: &[usize], to: &mut Vec<u8>) -> Result<()> {
        match self {
            Units::Characters(characters) => {
                let text: String = units.iter().filter_map(|&unit| characters.get(unit)).collect();
                to.extend_from_slice(text.as_bytes());
            }
            Units::Words(words) => {
                for &unit in units {
                    if !to.is_empty() {
                        to.push(b' ');
                    }
                    to.extend_from_slice(words.words[unit].as_bytes());
                }
            }
            Units::WordPiece(pieces) => pieces.write(units, to),
            Units::BytePairs(pairs) => units.iter().for_each(|&unit| pairs.write(unit, to)),
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => to.extend_from_slice(other.decode(units)?.as_bytes()),
        }
        Ok(())
    }
}
