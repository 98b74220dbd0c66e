//! Text to tokens and back.

use super::byte_pairs::BytePairs;
use super::characters::Characters;
use super::learner::{Kind, Learner};
use super::saved::Saved;
use super::words::{WordOptions, Words};
use kiln_tensor::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// What [`Tokenizer::decode`] writes for an unknown token.
const UNKNOWN: &str = "[UNK]";

/// Text to tokens, numbers from 0 to [`len`](Tokenizer::len) − 1, and back: of characters, of words, or of byte pairs. It is learned from
/// text, and saved as JSON beside the model.
///
/// ```
/// use kiln_datasets::{Tokenizer, WordOptions};
/// let characters = Tokenizer::characters("hello");
/// assert_eq!(characters.encode("hole")?, [1, 3, 2, 0]); // e, h, l, o
/// assert!(characters.encode("help").unwrap_err().to_string().contains("'p' at position 3"));
///
/// // 0 is padding, 1 stands for unknown words, then come the most frequent ones.
/// let words = Tokenizer::words(["The sea, the sky.", "The sun!"], WordOptions::new().size(5))?;
/// let tokens = words.encode("The moon!")?;
/// assert_eq!(tokens, [2, 1, 3]);
/// assert_eq!(words.decode(&tokens)?, "the [UNK] !");
///
/// // Byte pairs know every text.
/// let pairs = Tokenizer::byte_pairs(["low lower lowest low low"], 260)?;
/// let tokens = pairs.encode("Slow? 日本")?;
/// assert_eq!(pairs.decode(&tokens)?, "Slow? 日本");
/// assert_eq!(Tokenizer::from_json(&pairs.to_json())?, pairs);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Tokenizer {
    /// Token 0, where there is one.
    pub(super) padding: bool,
    /// The token after it, or 0.
    pub(super) unknown: bool,
    pub(super) units: Units,
}

/// What the other tokens are.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Units {
    Characters(Characters),
    Words(Words),
    BytePairs(BytePairs),
}

impl Tokenizer {
    /// The different characters of a text, in the order of Unicode. Other characters are errors, unless there is a token for them
    /// ([`with_unknown`](Tokenizer::with_unknown)).
    pub fn characters(text: &str) -> Self {
        let units = Units::Characters(Characters::new(text.chars().collect()));
        Tokenizer { padding: false, unknown: false, units }
    }

    /// The words of some texts, the most frequent first, with tokens for padding, 0, and for unknown words, 1.
    ///
    /// Decoded, words have one space between them: spaces, line breaks and, by default, upper case are lost.
    ///
    /// # Errors
    /// Texts without a word, or without one that comes often enough; a size that has no place for a word.
    pub fn words<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, options: WordOptions) -> Result<Self> {
        Tokenizer::learn(Kind::Words(options), texts, true)
    }

    /// Byte pairs as in GPT-2 (Sennrich et al. 2016; Radford et al. 2019): one token for each of the 256 bytes, in GPT-2's order. Then the
    /// most frequent pair of adjacent tokens becomes a new token, again and again, until there are `size` tokens or no pair comes
    /// twice. Of equally frequent pairs the one with the smaller tokens comes first. Pairs never cross words as GPT-2 splits text, where
    /// a word includes the space before it.
    ///
    /// Every text can be encoded, and decoding gives it back exactly.
    ///
    /// # Errors
    /// A size below 256; texts whose different words are 4 GiB or more.
    pub fn byte_pairs<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, size: usize) -> Result<Self> {
        Tokenizer::learn(Kind::BytePairs(size), texts, false)
    }

    fn learn<T: AsRef<str>>(kind: Kind, texts: impl IntoIterator<Item = T>, special: bool) -> Result<Self> {
        let mut learner = Learner::new(kind);
        texts.into_iter().for_each(|text| learner.add(text.as_ref()));
        learner.finish(special)
    }

    /// With a token for padding, 0; the other tokens move up by one.
    #[must_use]
    pub fn with_padding(self) -> Self {
        Tokenizer { padding: true, ..self }
    }

    /// With a token for what is unknown, before all others but that of padding, which move up by one.
    #[must_use]
    pub fn with_unknown(self) -> Self {
        Tokenizer { unknown: true, ..self }
    }

    /// The token that fills sequences up.
    pub fn padding(&self) -> Option<i64> {
        self.padding.then_some(0)
    }

    /// The token that stands for what is unknown.
    pub fn unknown(&self) -> Option<i64> {
        self.unknown.then_some(i64::from(self.padding))
    }

    /// The number of special tokens, which come first.
    fn special(&self) -> usize {
        usize::from(self.padding) + usize::from(self.unknown)
    }

    /// Number of tokens: what an embedding takes as its vocabulary.
    pub fn len(&self) -> usize {
        self.special()
            + match &self.units {
                Units::Characters(characters) => characters.len(),
                Units::Words(words) => words.words.len(),
                Units::BytePairs(pairs) => pairs.len(),
            }
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each token is a character.
    pub fn is_of_characters(&self) -> bool {
        matches!(self.units, Units::Characters(_))
    }

    /// A text as tokens.
    ///
    /// # Errors
    /// An unknown character, with its position, where there is no token for such.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let first = self.special() as i64;
        // Words have a token for what is unknown, byte pairs know everything.
        let unknown = self.unknown().unwrap_or_default();
        let token = |number: Option<usize>| number.map_or(unknown, |number| first + number as i64);
        Ok(match &self.units {
            Units::Characters(characters) => {
                let numbers = characters.encode(text, self.unknown)?;
                numbers.into_iter().map(token).collect()
            }
            Units::Words(words) => words.encode(text).into_iter().map(token).collect(),
            Units::BytePairs(pairs) => pairs.encode(text).into_iter().map(|number| first + i64::from(number)).collect(),
        })
    }

    /// Tokens as a text. Padding is left out, what was unknown is `[UNK]`, words have a space between them. Bytes that are not UTF-8, as
    /// a model may put them together, become U+FFFD.
    ///
    /// # Errors
    /// A number that is not a token, with its position.
    pub fn decode(&self, tokens: &[i64]) -> Result<String> {
        let special = self.special();
        let mut bytes = Vec::new();
        for (position, &token) in tokens.iter().enumerate() {
            let number = usize::try_from(token).ok().filter(|&number| number < self.len());
            let number = number.ok_or_else(|| self.out_of_range(token, position))?;
            if Some(token) == self.padding() {
                continue;
            }
            if matches!(self.units, Units::Words(_)) && !bytes.is_empty() {
                bytes.push(b' ');
            }
            match number.checked_sub(special) {
                Some(unit) => self.units.write(unit, &mut bytes),
                None => bytes.extend_from_slice(UNKNOWN.as_bytes()),
            }
        }
        Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    #[cold]
    fn out_of_range(&self, token: i64, position: usize) -> Error {
        let last = self.len() as i64 - 1;
        let message = format!("token {token} at position {position} is out of range, expected 0 to {last}");
        Error::new(ErrorKind::Index, "Tokenizer", message)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From its JSON.
    ///
    /// # Errors
    /// Text that is not the JSON of a `Tokenizer`.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::Format, "Tokenizer", format!("this is not a tokenizer's JSON: {e}")).with_source(e)
        })
    }
}

impl Units {
    /// Adds what a token, which there is, stands for.
    fn write(&self, unit: usize, to: &mut Vec<u8>) {
        match self {
            Units::Characters(characters) => {
                let mut buffer = [0; 4];
                to.extend(characters.get(unit).map_or("", |character| character.encode_utf8(&mut buffer)).bytes());
            }
            Units::Words(words) => to.extend_from_slice(words.words[unit].as_bytes()),
            Units::BytePairs(pairs) => pairs.write(unit, to),
        }
    }
}
