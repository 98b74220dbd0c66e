//! How a CSV file is read.

use super::bytes::Bytes;
use super::columnar;
use super::source::Source;
use super::tables::Csv;
use super::text::Text;
use kiln_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// How a CSV file is written: by default with a header, commas, values in double quotes where that is needed, and the empty field,
/// NA, N/A, NaN, null and ? for missing values. Spaces around values do not count. The text is UTF-8.
///
/// A Parquet or Arrow file ([`Csv`]) has its columns' names and its missing values in itself: of these options only
/// [`missing`](CsvOptions::missing) and [`types_from`](CsvOptions::types_from) mean something for it.
///
/// ```
/// use kiln_datasets::CsvOptions;
/// let csv = CsvOptions::new().delimiter(b';').missing(["-1"]).read("height;weight\n180;-1\n170;62.5\n")?;
/// assert_eq!((csv.len(), csv.columns()), (2, &["height".to_owned(), "weight".to_owned()][..]));
/// assert_eq!(csv.summary().columns[1].missing, 1);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    header: bool,
    delimiter: u8,
    quote: Option<u8>,
    /// None: the format's own.
    missing: Option<Vec<String>>,
    limit: usize,
    pub(super) typed_rows: usize,
}

/// Words for missing values in text.
const MISSING: [&str; 6] = ["", "NA", "N/A", "NaN", "null", "?"];

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            header: true,
            delimiter: b',',
            quote: Some(b'"'),
            missing: None,
            limit: 1 << 20,
            typed_rows: usize::MAX,
        }
    }
}

impl CsvOptions {
    /// The defaults.
    pub fn new() -> Self {
        CsvOptions::default()
    }

    /// Whether the first line names the columns. Without a header they are `column1`, `column2` and so on; a column whose name in
    /// the header is empty is called like that too.
    #[must_use]
    pub fn header(self, header: bool) -> Self {
        CsvOptions { header, ..self }
    }

    /// What stands between two values: `b';'`, `b'\t'`.
    #[must_use]
    pub fn delimiter(self, delimiter: u8) -> Self {
        CsvOptions { delimiter, ..self }
    }

    /// The quotes around values that hold delimiters or line breaks; `None` where quotes are letters like others.
    #[must_use]
    pub fn quote(self, quote: impl Into<Option<u8>>) -> Self {
        CsvOptions { quote: quote.into(), ..self }
    }

    /// The words that stand for a missing value, beside the empty field; upper and lower case are the same.
    #[must_use]
    pub fn missing<S: Into<String>>(self, words: impl IntoIterator<Item = S>) -> Self {
        let words = words.into_iter().map(|word| word.into().trim().to_owned());
        CsvOptions { missing: Some(std::iter::once(String::new()).chain(words).collect()), ..self }
    }

    /// The bytes that a row may have, 1,048,576 by default: a longer one is an error, and is not read into memory.
    #[must_use]
    pub fn line_limit(self, bytes: usize) -> Self {
        CsvOptions { limit: bytes, ..self }
    }

    /// Finds the columns' types and their summary by the first `rows` rows instead of all.
    #[must_use]
    pub fn types_from(self, rows: usize) -> Self {
        CsvOptions { typed_rows: rows, ..self }
    }

    /// Opens a file: reads it once, row by row, and keeps where each row begins (8 bytes) and the summary.
    ///
    /// # Errors
    /// A file that cannot be read, or without rows; rows of another number of values than the header, or longer than the limit; two
    /// columns of one name; text that is not UTF-8. The message names the line, and the column where there is one. A Parquet or Arrow
    /// file with columns of lists, structs or bytes, or in a build without the feature `parquet`.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Csv> {
        self.scan(Bytes::file(path.as_ref().to_owned())?)
    }

    /// Takes a table that is in memory.
    ///
    /// # Errors
    /// As [`CsvOptions::open`].
    pub fn read(self, bytes: impl AsRef<[u8]>) -> Result<Csv> {
        self.scan(Bytes::Memory(Arc::from(bytes.as_ref())))
    }

    fn scan(self, bytes: Bytes) -> Result<Csv> {
        if self.typed_rows == 0 {
            return Err(Error::value("Csv", "types cannot be found by 0 rows: `types_from` takes 1 or more"));
        }
        let (source, words) = match columnar::Format::of(&bytes)? {
            // A null is no word: other words are values.
            Some(format) => (columnar::source(format, bytes)?, &[""][..]),
            None => (self.text(bytes)?, &MISSING[..]),
        };
        let missing = self.missing.clone().unwrap_or_else(|| words.iter().map(|&word| word.to_owned()).collect());
        Csv::scan(source, missing, &self)
    }

    fn text(&self, bytes: Bytes) -> Result<Box<dyn Source>> {
        let &CsvOptions { header, delimiter, quote, limit, .. } = self;
        if quote == Some(delimiter) || matches!(delimiter, b'\n' | b'\r') {
            let message = format!("the delimiter {:?} is also the quote or a line break", char::from(delimiter));
            return Err(Error::value("Csv", message));
        }
        Ok(Box::new(Text { bytes, header, delimiter, quote, limit }))
    }
}
