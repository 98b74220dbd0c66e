//! Text to tokens and back.

use super::characters::Characters;
use super::learner::{Kind, Learner};
use super::saved::Saved;
use super::special::{Part, Special};
use super::template::Template;
use super::units::Units;
use super::words::WordOptions;
use kiln_tensor::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// What a token of padding is called in files.
pub(super) const PADDING: &str = "[PAD]";
/// What a token for the unknown is called in files, and what [`Tokenizer::decode`] writes for one.
pub(super) const UNKNOWN: &str = "[UNK]";

/// Text to tokens, numbers from 0 to [`len`](Tokenizer::len) − 1, and back: of characters, of words, or of byte pairs. It is learned from
/// text, and saved as JSON beside the model; byte pairs are also read from and written to GPT-2's files ([`Tokenizer::load`],
/// [`Tokenizer::save`]).
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
    /// By numbers of units; those that are not among the units follow them.
    pub(super) special: Special,
}

impl Tokenizer {
    /// The different characters of a text, in the order of Unicode. Other characters are errors, unless there is a token for them
    /// ([`with_unknown`](Tokenizer::with_unknown)).
    pub fn characters(text: &str) -> Self {
        let units = Units::Characters(Characters::new(text.chars().collect()));
        Tokenizer { padding: false, unknown: false, units, special: Special::default() }
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

    /// The token that fills sequences up: 0 after [`with_padding`](Tokenizer::with_padding), else that of `[PAD]` or `<pad>`, where there
    /// is one.
    pub fn padding(&self) -> Option<i64> {
        self.padding.then_some(0).or_else(|| [PADDING, "<pad>"].into_iter().find_map(|text| self.special(text)))
    }

    /// The token that stands for what is unknown.
    pub fn unknown(&self) -> Option<i64> {
        match &self.units {
            Units::WordPiece(pieces) => Some(self.first() as i64 + pieces.unknown as i64),
            _ => self.unknown.then_some(i64::from(self.padding)),
        }
    }

    /// With a special token at the end, such as `<|endoftext|>`, which [`encode`](Tokenizer::encode) finds in a text.
    ///
    /// ```
    /// use kiln_datasets::Tokenizer;
    /// let tokenizer = Tokenizer::byte_pairs(["one two one"], 258)?.with_special("<|endoftext|>")?;
    /// let end = tokenizer.special("<|endoftext|>");
    /// assert_eq!(end, Some(tokenizer.len() as i64 - 1));
    /// assert_eq!(tokenizer.encode("one<|endoftext|>")?.last().copied(), end);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// An empty text, or a special token that there is already.
    pub fn with_special(mut self, text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.is_empty() || self.special(&text).is_some() {
            let why = if text.is_empty() { "is an empty text" } else { "is there already" };
            return Err(Error::value("Tokenizer", format!("the special token {text:?} {why}")));
        }
        let number = (self.len() - self.first()) as u32;
        self.special.push(text, number);
        Ok(self)
    }

    /// The token of a special text.
    pub fn special(&self, text: &str) -> Option<i64> {
        let number = match &self.units {
            #[cfg(feature = "tokenizers")]
            Units::HuggingFace(other) if self.special.number(text).is_none() => other.special(text),
            _ => self.special.number(text),
        };
        number.map(|number| self.token(number))
    }

    /// The token of a unit, or of a special text, by its number.
    pub(super) fn token(&self, number: u32) -> i64 {
        self.first() as i64 + i64::from(number)
    }

    /// What a model reads of one text, or of a pair, by numbers.
    pub(super) fn template(&self, pair: bool) -> Result<Template> {
        self.units.template(pair, &self.special)
    }

    /// The token at the end of a text: that of `<|endoftext|>`, `<|end_of_text|>` or `</s>`, where there is one.
    pub fn end_of_text(&self) -> Option<i64> {
        ["<|endoftext|>", "<|end_of_text|>", "</s>"].into_iter().find_map(|text| self.special(text))
    }

    /// The number of the tokens for padding and for what is unknown, which come first.
    pub(super) fn first(&self) -> usize {
        usize::from(self.padding) + usize::from(self.unknown)
    }

    /// Number of tokens: what an embedding takes as its vocabulary.
    pub fn len(&self) -> usize {
        let units = self.units.len();
        let after = self.special.all().iter().filter(|(_, number)| *number as usize >= units).count();
        self.first() + units + after
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each token is a character.
    pub fn is_of_characters(&self) -> bool {
        matches!(self.units, Units::Characters(_))
    }

    /// A text as tokens. Special tokens in it are found, as Hugging Face's tokenizers do;
    /// [`encode_ordinary`](Tokenizer::encode_ordinary) takes them as any other text.
    ///
    /// # Errors
    /// An unknown character, with its position, where there is no token for such; so with byte pairs of a file that lacks bytes.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let mut tokens = Vec::new();
        for part in self.special.parts(text) {
            match part {
                Part::Plain { before, text } => self.add(self.units.encode(before, text, self.unknown)?, &mut tokens),
                Part::Special(number) => tokens.push(self.token(number)),
            }
        }
        Ok(tokens)
    }

    /// A text as tokens, in which nothing is special (tiktoken's `encode_ordinary`): for a text of which it is not known who wrote it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_ordinary(&self, text: &str) -> Result<Vec<i64>> {
        let mut tokens = Vec::new();
        self.add(self.units.encode_ordinary(text, self.unknown)?, &mut tokens);
        Ok(tokens)
    }

    /// What is the first in a text that has no token of its own: a word, a character. None where every text can be written in tokens.
    pub(super) fn first_unknown(&self, text: &str) -> Option<String> {
        match &self.units {
            Units::Words(words) => words.first_unknown(text),
            Units::Characters(characters) => text.chars().find(|&c| !characters.has(c)).map(String::from),
            _ => None,
        }
    }

    /// Adds the tokens of units.
    fn add(&self, numbers: Vec<Option<usize>>, to: &mut Vec<i64>) {
        let first = self.first() as i64;
        // Words have a token for what is unknown.
        let unknown = self.unknown().unwrap_or_default();
        to.extend(numbers.into_iter().map(|number| number.map_or(unknown, |number| first + number as i64)));
    }

    /// Tokens as a text. Padding is left out, what was unknown is `[UNK]`, words have a space between them. Bytes that are not UTF-8, as
    /// a model may put them together, become U+FFFD.
    ///
    /// # Errors
    /// A number that is not a token, with its position.
    pub fn decode(&self, tokens: &[i64]) -> Result<String> {
        let (first, padding) = (self.first(), self.padding());
        let (mut bytes, mut units) = (Vec::new(), Vec::new());
        for (position, &token) in tokens.iter().enumerate() {
            let number = usize::try_from(token).ok().filter(|&number| number < self.len());
            let number = number.ok_or_else(|| self.out_of_range(token, position))?;
            if Some(token) == padding {
                continue;
            }
            let text = match number.checked_sub(first) {
                Some(unit) if unit < self.units.len() => {
                    units.push(unit);
                    continue;
                }
                Some(special) => self.special.text(special as u32).unwrap_or_default(),
                None => UNKNOWN,
            };
            self.units.write(&std::mem::take(&mut units), &mut bytes)?;
            if self.units.are_spaced() && !bytes.is_empty() {
                bytes.push(b' ');
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        self.units.write(&units, &mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    #[cold]
    fn out_of_range(&self, token: i64, position: usize) -> Error {
        let last = self.len() as i64 - 1;
        let message = format!("token {token} at position {position} is out of range, expected 0 to {last}");
        Error::new(ErrorKind::Index, "Tokenizer", message)
    }
}
