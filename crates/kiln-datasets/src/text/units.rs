//! What tokens stand for.

use super::byte_pairs::BytePairs;
use super::characters::Characters;
#[cfg(feature = "tokenizers")]
use super::hugging_face::HuggingFace;
use super::words::Words;
use kiln_tensor::Result;

/// Tokens by their numbers, without those for padding and for what is unknown.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Units {
    Characters(Characters),
    Words(Words),
    BytePairs(BytePairs),
    #[cfg(feature = "tokenizers")]
    HuggingFace(HuggingFace),
}

impl Units {
    pub(super) fn len(&self) -> usize {
        match self {
            Units::Characters(characters) => characters.len(),
            Units::Words(words) => words.words.len(),
            Units::BytePairs(pairs) => pairs.len(),
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
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => other.encode(text),
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
            Units::BytePairs(pairs) => units.iter().for_each(|&unit| pairs.write(unit, to)),
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) => to.extend_from_slice(other.decode(units)?.as_bytes()),
        }
        Ok(())
    }
}
