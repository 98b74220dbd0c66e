//! A tokenizer's files.

use super::byte_pairs::{Vocabulary, other_kind, vocabulary};
use super::load::load_text;
use super::special::Special;
use super::tokenizer::{Tokenizer, UNKNOWN};
use super::units::Units;
use kiln_store::write_atomically;
use kiln_tensor::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const TOKENIZER: &str = "tokenizer.json";
/// The token of padding in vocab.json.
const PADDING: &str = "[PAD]";

#[cold]
fn wrong(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, "Tokenizer", format!("this is not a tokenizer's JSON: {why}"))
}

impl Tokenizer {
    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From its JSON, or from Hugging Face's `tokenizer.json` of GPT-2's kind: byte pairs at the level of bytes, without a normalizer. What
    /// is added around a text there (`post_processor`) is not added here. With the feature `tokenizers`, files of all other kinds too,
    /// which are then read and used by that crate.
    ///
    /// # Errors
    /// Text that is not the JSON of a tokenizer; a `tokenizer.json` of another kind, without the feature.
    pub fn from_json(json: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(json).map_err(|error| wrong(&error).with_source(error))?;
        if json.get("model").is_none() {
            return Tokenizer::deserialize(json).map_err(|error| wrong(&error).with_source(error));
        }
        if let Some(why) = other_kind(&json) {
            return other(&json, &why);
        }
        Tokenizer::of(vocabulary(json).map_err(wrong)?)
    }

    /// From GPT-2's two files, the texts of `vocab.json` and `merges.txt`. Tokens are numbered as they are there. Special tokens are those
    /// that neither are a byte nor made of a pair, such as `<|endoftext|>`.
    ///
    /// # Errors
    /// Texts that are not such files, with what is wrong and the line of merges.txt.
    pub fn from_vocab_and_merges(vocab: &str, merges: &str) -> Result<Self> {
        Vocabulary::from_files(vocab, merges)
            .map_err(|why| Error::new(ErrorKind::Format, "Tokenizer", why))
            .and_then(Tokenizer::of)
    }

    fn of(vocabulary: Vocabulary) -> Result<Self> {
        let (pairs, special) = vocabulary
            .build()
            .map_err(|why| Error::new(ErrorKind::Format, "Tokenizer", format!("vocabulary: {why}")))?;
        let (units, special) = (Units::BytePairs(pairs), Special::new(special));
        Ok(Tokenizer { padding: false, unknown: false, units, special })
    }

    /// The texts of GPT-2's two files, `vocab.json` and `merges.txt`, which Hugging Face's tokenizers read too. The tokens of padding and of
    /// what is unknown are called `[PAD]` and `[UNK]` there.
    ///
    /// # Errors
    /// A tokenizer that is not one of byte pairs; a special token that is spelled as another token is there.
    pub fn to_vocab_and_merges(&self) -> Result<(String, String)> {
        let Units::BytePairs(pairs) = &self.units else {
            let message =
                format!("{VOCAB} and {MERGES} are files of byte pairs, which this tokenizer has not: save `to_json`");
            return Err(Error::new(ErrorKind::Unsupported, "Tokenizer", message));
        };
        let special = self.special.all();
        let first = [(self.padding, PADDING), (self.unknown, UNKNOWN)];
        let mut tokens: Vec<String> =
            first.into_iter().filter(|(there, _)| *there).map(|(_, name)| name.to_owned()).collect();
        tokens.extend(pairs.names(&special.iter().map(|(_, number)| *number).collect()));
        tokens
            .extend(special.iter().filter(|(_, number)| *number as usize >= pairs.len()).map(|(text, _)| text.clone()));
        let first = self.first() as u32;
        let merges = pairs.merges().into_iter().map(|(left, right)| (left + first, right + first)).collect();
        let vocabulary = Vocabulary { tokens, merges, special: Default::default() };
        vocabulary.to_files().map_err(|why| Error::new(ErrorKind::Unsupported, "Tokenizer", format!("{VOCAB}: {why}")))
    }

    /// Reads a tokenizer: a folder with `tokenizer.json`, or with `vocab.json` and `merges.txt`, as models on Hugging Face's hub have
    /// them; or a file that [`Tokenizer::from_json`] reads.
    ///
    /// # Errors
    /// Files that cannot be read, or are no tokenizer's, with their names.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |path: &Path, error: Error| {
            Error::new(error.kind(), "load", format!("{}: {}", path.display(), error.message())).with_source(error)
        };
        let json = |path: &Path| Tokenizer::from_json(&load_text(path)?).map_err(|error| named(path, error));
        if !path.is_dir() {
            return json(path);
        }
        let [tokenizer, vocab, merges] = [TOKENIZER, VOCAB, MERGES].map(|file| path.join(file));
        if tokenizer.exists() {
            return json(&tokenizer);
        }
        if !vocab.exists() {
            let message = format!("{}: this folder has neither {TOKENIZER} nor {VOCAB}", path.display());
            return Err(Error::new(ErrorKind::Io, "load", message));
        }
        Tokenizer::from_vocab_and_merges(&load_text(&vocab)?, &load_text(&merges)?).map_err(|error| named(path, error))
    }

    /// Writes [`vocab.json` and `merges.txt`](Tokenizer::to_vocab_and_merges) into a folder, which is made where it is not there.
    ///
    /// # Errors
    /// A tokenizer that is not one of byte pairs, a folder that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let (vocab, merges) = self.to_vocab_and_merges()?;
        std::fs::create_dir_all(folder).map_err(|error| {
            let message = format!("{}: this folder cannot be made: {error}", folder.display());
            Error::new(ErrorKind::Io, "save", message).with_source(error)
        })?;
        write_atomically(&folder.join(VOCAB), vocab.as_bytes())?;
        write_atomically(&folder.join(MERGES), merges.as_bytes())
    }
}

/// A tokenizer.json that is not of GPT-2's kind.
#[cfg(not(feature = "tokenizers"))]
fn other(_: &Value, why: &str) -> Result<Tokenizer> {
    let message = format!(
        "this tokenizer.json is not of GPT-2's kind: {why}; build with the feature `tokenizers` to read others"
    );
    Err(Error::new(ErrorKind::Unsupported, "Tokenizer", message))
}

/// A tokenizer.json that is not of GPT-2's kind.
#[cfg(feature = "tokenizers")]
fn other(json: &Value, _: &str) -> Result<Tokenizer> {
    let units = Units::HuggingFace(super::hugging_face::HuggingFace::new(json).map_err(wrong)?);
    Ok(Tokenizer { padding: false, unknown: false, units, special: Special::default() })
}
