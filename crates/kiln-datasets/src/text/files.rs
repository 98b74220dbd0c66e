//! A tokenizer's files.

use super::byte_pairs::{Vocabulary, other_kind, vocabulary};
use super::load::load_text;
use super::special::Special;
use super::tokenizer::{PADDING, Tokenizer, UNKNOWN};
use super::tokenizer_json::type_of;
use super::units::Units;
use super::word_piece::{self, Normalizer, WordPiece};
use kiln_store::write_atomically;
use kiln_tensor::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const TOKENIZER: &str = "tokenizer.json";
/// BERT's vocabulary, and beside it how texts are cleaned.
const VOCAB_TXT: &str = "vocab.txt";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

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

    /// From its JSON, or from Hugging Face's `tokenizer.json` of GPT-2's kind, which is byte pairs at the level of bytes without a
    /// normalizer, or of BERT's kind, which is WordPiece. With the feature `tokenizers`, files of all other kinds too, which that crate then
    /// reads and uses.
    ///
    /// What a file adds around a text (`post_processor`), such as BERT's `[CLS]` and `[SEP]`, is added by
    /// [`TextInputs`](crate::TextInputs); of byte pairs nothing is.
    ///
    /// # Errors
    /// Text that is not the JSON of a tokenizer; a `tokenizer.json` of another kind, without the feature.
    pub fn from_json(json: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(json).map_err(|error| wrong(&error).with_source(error))?;
        if json.get("model").is_none() {
            return Tokenizer::deserialize(json).map_err(|error| wrong(&error).with_source(error));
        }
        let pieces = type_of(&json["model"]) == "WordPiece";
        if let Some(why) = if pieces { word_piece::other_kind(&json) } else { other_kind(&json) } {
            return other(&json, if pieces { "BERT" } else { "GPT-2" }, &why);
        }
        match pieces {
            true => word_piece::from_json(json).map(Tokenizer::of_pieces).map_err(wrong),
            false => Tokenizer::of(vocabulary(json).map_err(wrong)?),
        }
    }

    /// BERT's WordPiece (Schuster & Nakajima 2012; Devlin et al. 2018), from the text of a `vocab.txt`: a token in each line, numbered from
    /// 0. Tokens that begin with `##` go on with a word. `lowercase` is whether texts are lowercased and accents are removed: true for
    /// bert-base-uncased, false for bert-base-cased.
    ///
    /// A word that no tokens make is `[UNK]`. Decoded, words have one space between them.
    ///
    /// ```
    /// use kiln_datasets::Tokenizer;
    /// let tokenizer = Tokenizer::from_word_pieces("[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##do\nit\n!", true)?;
    /// assert_eq!(tokenizer.encode("Undo it, Ündo!")?, [4, 5, 6, 1, 4, 5, 7]);
    /// assert_eq!(tokenizer.decode(&[4, 5, 6, 7])?, "undo it!");
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// A vocabulary without `[UNK]`, or with a token twice.
    pub fn from_word_pieces(vocabulary: &str, lowercase: bool) -> Result<Self> {
        Tokenizer::of_vocabulary(
            vocabulary,
            Normalizer { lowercase, strip_accents: lowercase, ..Normalizer::default() },
        )
    }

    fn of_vocabulary(vocabulary: &str, normalizer: Normalizer) -> Result<Self> {
        word_piece::from_vocabulary(vocabulary, normalizer)
            .map(Tokenizer::of_pieces)
            .map_err(|why| Error::new(ErrorKind::Format, "Tokenizer", format!("vocabulary: {why}")))
    }

    fn of_pieces((pieces, special): (WordPiece, Special)) -> Self {
        Tokenizer { padding: false, unknown: false, units: Units::WordPiece(pieces), special }
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
                format!("{VOCAB} and {MERGES} are files of byte pairs, and this tokenizer has none: save `to_json`");
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

    /// Reads a tokenizer: a folder with `tokenizer.json`, with GPT-2's `vocab.json` and `merges.txt`, or with BERT's `vocab.txt`, as models
    /// on Hugging Face's hub have them; or a file that [`Tokenizer::from_json`] reads. Beside a `vocab.txt`, `do_lower_case` and other
    /// settings of `tokenizer_config.json` are followed.
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
        let [tokenizer, vocab, merges, pieces] = [TOKENIZER, VOCAB, MERGES, VOCAB_TXT].map(|file| path.join(file));
        if tokenizer.exists() {
            return json(&tokenizer);
        }
        if vocab.exists() {
            return Tokenizer::from_vocab_and_merges(&load_text(&vocab)?, &load_text(&merges)?)
                .map_err(|error| named(path, error));
        }
        if !pieces.exists() {
            let message = format!("{}: this folder has none of {TOKENIZER}, {VOCAB} and {VOCAB_TXT}", path.display());
            return Err(Error::new(ErrorKind::Io, "load", message));
        }
        let config = path.join(TOKENIZER_CONFIG);
        let normalizer = match config.exists() {
            true => word_piece::normalizer(&load_text(&config)?).map_err(|error| named(&config, wrong(error)))?,
            false => Normalizer::default(),
        };
        Tokenizer::of_vocabulary(&load_text(&pieces)?, normalizer).map_err(|error| named(&pieces, error))
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

/// A tokenizer.json that is not of the kind of `model`, for this reason.
#[cfg(not(feature = "tokenizers"))]
fn other(_: &Value, model: &str, why: &str) -> Result<Tokenizer> {
    let message = format!(
        "this tokenizer.json is not of {model}'s kind: {why}; build with the feature `tokenizers` to read others"
    );
    Err(Error::new(ErrorKind::Unsupported, "Tokenizer", message))
}

/// A tokenizer.json that is neither of GPT-2's kind nor of BERT's.
#[cfg(feature = "tokenizers")]
fn other(json: &Value, _: &str, _: &str) -> Result<Tokenizer> {
    let units = Units::HuggingFace(super::hugging_face::HuggingFace::new(json).map_err(wrong)?);
    Ok(Tokenizer { padding: false, unknown: false, units, special: Special::default() })
}
