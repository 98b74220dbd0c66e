//! Tables as text: the rows one by one, none longer than a limit. A row's number is the byte at which it begins.

use super::bytes::{Bytes, ReadSeek};
use super::scan::NOT_UTF8;
use super::source::{Rows, Source, names, unnamed};
use super::summary::Numbering;
use super::values::number;
use ::csv::{ByteRecord, Position, Reader};
use kiln_tensor::{Error, Result};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

/// Bytes that are read from a file at a time.
const BUFFER: usize = 1 << 14;

/// Text, and how it is read.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) bytes: Bytes,
    /// Whether the first row names the columns.
    pub(super) header: bool,
    pub(super) delimiter: u8,
    /// None: quotes are letters like others.
    pub(super) quote: Option<u8>,
    /// The bytes that a row may have.
    pub(super) limit: usize,
}

/// Reads at most `left` bytes.
struct Limited {
    inner: Box<dyn ReadSeek>,
    left: usize,
}

impl Read for Limited {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other("the row is longer than the limit"));
        }
        let count = to.len().min(self.left);
        let count = self.inner.read(&mut to[..count])?;
        self.left -= count;
        Ok(count)
    }
}

impl Seek for Limited {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

impl Text {
    #[cold]
    fn wrong(&self, message: &str) -> Error {
        self.bytes.wrong(message)
    }

    #[cold]
    fn wrong_at(&self, byte: u64, message: &str) -> Error {
        (self as &dyn Source).wrong_at(byte, message)
    }

    /// The line in which the row at `byte` begins. The lines before it are counted: only messages need it.
    fn line(&self, byte: u64) -> Result<u64> {
        let (mut line, mut at) = (1, 0);
        let mut reader = BufReader::new(self.bytes.reader()?);
        loop {
            let buffer = reader.fill_buf().map_err(|e| self.bytes.unreadable(e))?;
            for &found in buffer {
                // Empty lines before a row are no rows.
                if at >= byte && !matches!(found, b'\n' | b'\r') {
                    return Ok(line);
                }
                line += u64::from(found == b'\n');
                at += 1;
            }
            let count = buffer.len();
            if count == 0 {
                return Ok(line);
            }
            reader.consume(count);
        }
    }

    fn text_rows(&self) -> Result<TextRows<'_>> {
        let reader = self.reader(Limited { inner: self.bytes.reader()?, left: 0 });
        Ok(TextRows { text: self, reader, record: ByteRecord::new() })
    }

    /// The names in the first line.
    fn header(&self, byte: u64, record: &ByteRecord) -> Result<Vec<String>> {
        let fields = record.iter().map(std::str::from_utf8).collect::<Result<Vec<_>, _>>();
        let fields = fields.map_err(|_| self.wrong_at(byte, NOT_UTF8))?;
        let names = names(fields.into_iter()).map_err(|message| self.wrong_at(byte, &message))?;
        if names.iter().all(|name| number(name).is_some()) {
            let message =
                "the header has numbers only: of a file without a header `CsvOptions::header(false)` names the columns";
            return Err(self.wrong_at(byte, message));
        }
        Ok(names)
    }

    fn reader<R: Read>(&self, from: R) -> Reader<R> {
        ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .quoting(self.quote.is_some())
            .quote(self.quote.unwrap_or(b'"'))
            .buffer_capacity(BUFFER)
            .from_reader(from)
    }
}

impl Source for Text {
    fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn open(&self) -> Result<(Vec<String>, Box<dyn Rows + '_>)> {
        let mut rows = self.text_rows()?;
        let Some((byte, first)) = rows.next()? else { return Err(self.wrong("the file is empty")) };
        let columns = match self.header {
            true => self.header(byte, first)?,
            false => (1..=first.len()).map(unnamed).collect(),
        };
        Ok((columns, Box::new(if self.header { rows } else { self.text_rows()? })))
    }

    fn rows(&self) -> Result<Box<dyn Rows + '_>> {
        Ok(Box::new(self.text_rows()?))
    }

    fn numbering(&self) -> Numbering {
        Numbering::Line
    }

    fn number(&self, byte: u64) -> Result<u64> {
        self.line(byte)
    }

    /// A last row whose quote is not closed has all rows behind it in it.
    fn check_end(&self, byte: u64) -> Result<()> {
        let mut reader = self.bytes.reader()?;
        let mut end = Vec::new();
        let read =
            reader.seek(SeekFrom::Start(byte)).and_then(|_| reader.take(self.limit as u64).read_to_end(&mut end));
        read.map_err(|e| self.bytes.unreadable(e))?;
        // A row behind it is one of its own if the quote is closed.
        end.extend(b"\nx\n");
        match self.reader(&end[..]).byte_records().count() {
            1 => Err(self.wrong_at(byte, "the quote that is opened in this row is not closed")),
            _ => Ok(()),
        }
    }
}

/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

struct TextRows<'a> {
    text: &'a Text,
    reader: Reader<Limited>,
    record: ByteRecord,
}

impl Rows for TextRows<'_> {
    fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>> {
        let at = self.reader.position().byte();
        self.allow();
        let more = self.reader.read_byte_record(&mut self.record).map_err(|e| failed(self.text, at, e))?;
        let length = self.reader.position().byte() - at;
        if length > self.text.limit as u64 {
            return Err(too_long(self.text, at));
        }
        // A reader that begins here would leave it out, and the row would be another one.
        if at > 0 && self.record.get(0).is_some_and(|field| field.starts_with(MARK)) {
            return Err(self
                .text
                .wrong_at(at, "the row begins with a byte order mark: remove it, it belongs at a file's start"));
        }
        Ok(more.then_some((at, &self.record)))
    }

    fn at(&mut self, byte: u64) -> Result<&ByteRecord> {
        self.allow();
        let mut place = Position::new();
        place.set_byte(byte);
        self.reader.seek(place).map_err(|e| failed(self.text, byte, e))?;
        match self.next()? {
            Some(_) => Ok(&self.record),
            None => Err(self.text.wrong("the file is shorter than when it was opened: open it again")),
        }
    }
}

impl TextRows<'_> {
    /// Lets one row in, and what the reader takes beyond it.
    fn allow(&mut self) {
        self.reader.get_mut().left = self.text.limit.saturating_add(2 * BUFFER);
    }
}

#[cold]
fn failed(text: &Text, at: u64, error: ::csv::Error) -> Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::Other => too_long(text, at),
        ::csv::ErrorKind::Io(error) => text.bytes.unreadable(error),
        _ => text.wrong_at(at, "the row cannot be read"),
    }
}

#[cold]
fn too_long(text: &Text, at: u64) -> Error {
    let message = format!(
        "the row is longer than {} bytes: a quote may be unclosed, or the file is not CSV; `CsvOptions::line_limit` raises the limit",
        text.limit
    );
    text.wrong_at(at, &message)
}
