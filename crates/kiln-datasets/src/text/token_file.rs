//! Tokens in a file that is mapped into memory.

use kiln_store::{Mapped, write_atomically_with};
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// What a file begins with: these bytes, the version, bytes of a token (both u32), tokens and the size of the vocabulary (both u64), all
/// little-endian, and the XXH3 of what is before it. It is filled up with zeros, and the tokens follow.
const MAGIC: &[u8; 8] = b"KILNTOKS";
const VERSION: u32 = 1;
const CHECKED: usize = 32;
const HEADER: usize = 64;
/// Vocabularies up to this have tokens of two bytes.
const SHORT: usize = 1 << 16;

/// Tokens in a file, 2 bytes each of a vocabulary up to 65,536 tokens, else 4. The file is mapped into memory, so it may be larger than that, and
/// opening it takes no time. A copy shares the map.
///
/// ```
/// use kiln_datasets::{TextWindows, TokenFile, Tokenizer};
/// # let folder = std::env::temp_dir().join(format!("kiln-tokens-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// let documents = ["the first document", "the second"];
/// let tokenizer = Tokenizer::byte_pairs(documents, 300)?.with_special("<|endoftext|>")?;
/// let end = tokenizer.end_of_text().unwrap();
///
/// // Documents one after the other; only the tokens of one are in memory at a time.
/// TokenFile::write(folder.join("train.tokens"), tokenizer.len(), |file| {
///     documents.iter().try_for_each(|document| {
///         file.add(&tokenizer.encode_ordinary(document)?)?;
///         file.add(&[end])
///     })
/// })?;
/// let tokens = TokenFile::open(folder.join("train.tokens"))?;
/// assert_eq!(tokenizer.decode(&tokens.to_vec(0..tokens.len())?)?, "the first document<|endoftext|>the second<|endoftext|>");
/// let windows = TextWindows::of_file(tokens, 8, 8)?.random_offsets(true);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenFile {
    file: Arc<Mapped>,
    /// Bytes of a token: 2 or 4.
    width: usize,
    len: usize,
    vocabulary: usize,
}

/// Writes the tokens of a [`TokenFile`] one after the other.
#[derive(Debug)]
pub struct TokenWriter<'f> {
    file: BufWriter<&'f mut File>,
    vocabulary: usize,
    len: u64,
}

impl TokenWriter<'_> {
    /// Adds tokens.
    ///
    /// # Errors
    /// A token beyond the vocabulary, with its position; a file that cannot be written.
    pub fn add(&mut self, tokens: &[i64]) -> Result<()> {
        for &token in tokens {
            if usize::try_from(token).map_or(true, |token| token >= self.vocabulary) {
                let last = self.vocabulary as i64 - 1;
                let message = format!("token {token} at position {} is out of range, expected 0 to {last}", self.len);
                return Err(Error::new(ErrorKind::Index, "TokenFile", message));
            }
            let bytes = (token as u32).to_le_bytes();
            let width = if self.vocabulary <= SHORT { 2 } else { 4 };
            self.file.write_all(&bytes[..width]).map_err(|error| {
                Error::new(ErrorKind::Io, "TokenFile", format!("cannot be written: {error}")).with_source(error)
            })?;
            self.len += 1;
        }
        Ok(())
    }
}

impl TokenFile {
    /// Writes a file of the tokens of a vocabulary, in the order in which `write` adds them. It appears once all are written, and replaces
    /// another one then.
    ///
    /// # Errors
    /// Those of `write`; a vocabulary of no token or more than 2³²; a file that cannot be written. There is no new file then.
    pub fn write(
        path: impl AsRef<Path>,
        vocabulary: usize,
        write: impl FnOnce(&mut TokenWriter<'_>) -> Result<()>,
    ) -> Result<()> {
        if vocabulary == 0 || vocabulary as u64 > 1 << 32 {
            let message = format!("a vocabulary of {vocabulary} tokens: 1 to 4,294,967,296 are expected");
            return Err(Error::value("TokenFile", message));
        }
        let mut refused = None;
        let written = write_atomically_with(path.as_ref(), |file| {
            let mut writer = TokenWriter { file: BufWriter::new(file), vocabulary, len: 0 };
            writer.file.write_all(&[0; HEADER])?;
            if let Err(error) = write(&mut writer) {
                refused = Some(error);
                return Err(io::Error::other("what was to be written was refused"));
            }
            writer.file.rewind()?;
            let header = header(vocabulary, writer.len);
            writer.file.write_all(&header)?;
            writer.file.flush()
        });
        refused.map_or(written, Err)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// A file that cannot be read, is no token file or is cut short.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = Mapped::open(path)?;
        let wrong = |why: String| Error::new(ErrorKind::Format, "TokenFile", format!("{}: {why}", path.display()));
        let (width, len, vocabulary) = read_header(&file).map_err(|why| wrong(why.to_owned()))?;
        let expected = len.checked_mul(width).and_then(|bytes| bytes.checked_add(HEADER));
        if expected != Some(file.len()) {
            let message =
                format!("a file of {len} tokens of {width} bytes each has another length than {} bytes", file.len());
            return Err(wrong(message));
        }
        Ok(TokenFile { file: Arc::new(file), width, len, vocabulary })
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens of the vocabulary that they are of.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens of a range.
    ///
    /// # Errors
    /// A range that is not within the file.
    pub fn to_vec(&self, range: std::ops::Range<usize>) -> Result<Vec<i64>> {
        if range.start > range.end || range.end > self.len {
            let message = format!("the tokens {range:?} are asked for of {}", self.len);
            return Err(Error::new(ErrorKind::Index, "TokenFile", message));
        }
        let mut tokens = vec![0; range.len()];
        self.copy(range.start, &mut tokens);
        Ok(tokens)
    }

    /// Copies the tokens that begin at a position; past the end nothing.
    pub(crate) fn copy(&self, start: usize, to: &mut [i64]) {
        let bytes = self.file.get(HEADER + start * self.width..).unwrap_or_default();
        if self.width == 2 {
            let tokens = bytes.as_chunks::<2>().0;
            to.iter_mut().zip(tokens).for_each(|(to, &token)| *to = i64::from(u16::from_le_bytes(token)));
        } else {
            let tokens = bytes.as_chunks::<4>().0;
            to.iter_mut().zip(tokens).for_each(|(to, &token)| *to = i64::from(u32::from_le_bytes(token)));
        }
    }
}

/// What a file begins with.
fn header(vocabulary: usize, len: u64) -> Vec<u8> {
    let width: u32 = if vocabulary <= SHORT { 2 } else { 4 };
    let mut header = [&MAGIC[..], &VERSION.to_le_bytes(), &width.to_le_bytes()].concat();
    header.extend([len, vocabulary as u64].map(u64::to_le_bytes).concat());
    header.extend(xxh3_64(&header).to_le_bytes());
    header.resize(HEADER, 0);
    header
}

/// Bytes of a token, tokens, and the size of the vocabulary; or what is wrong.
fn read_header(file: &[u8]) -> Result<(usize, usize, usize), &'static str> {
    let header = file.get(..HEADER).filter(|header| header.starts_with(MAGIC)).ok_or("this is not a file of tokens")?;
    let u32_at = |at: usize| header[at..].first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes));
    let u64_at = |at: usize| header[at..].first_chunk().map_or(0, |&bytes| u64::from_le_bytes(bytes));
    if u64_at(CHECKED) != xxh3_64(&header[..CHECKED]) {
        return Err("what the file begins with was changed: write it anew");
    }
    let (version, width) = (u32_at(8), u32_at(12) as usize);
    if version != VERSION || !matches!(width, 2 | 4) {
        return Err("the file is of a later version of Kiln");
    }
    match (usize::try_from(u64_at(16)), usize::try_from(u64_at(24))) {
        (Ok(len), Ok(vocabulary)) => Ok((width, len, vocabulary)),
        _ => Err("the file is too large for this machine"),
    }
}
