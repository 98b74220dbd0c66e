//! Where a table's bytes come from, and its rows one by one, none longer than a limit.

use ::csv::{ByteRecord, Position, Reader};
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes that are read from a file at a time.
const BUFFER: usize = 1 << 14;

/// A table's bytes, and how they are read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) bytes: Bytes,
    pub(super) delimiter: u8,
    /// None: quotes are letters like others.
    pub(super) quote: Option<u8>,
    /// The bytes that a row may have.
    pub(super) limit: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Bytes {
    File { path: PathBuf, state: (u64, Option<SystemTime>) },
    Memory(Arc<[u8]>),
}

impl Bytes {
    /// A file as it is now.
    pub(super) fn file(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(|e| unreadable(&path.display().to_string(), e))?;
        let state = state(&file).map_err(|e| unreadable(&path.display().to_string(), e))?;
        Ok(Bytes::File { path, state })
    }
}

/// Size and time of the last change.
fn state(file: &File) -> std::io::Result<(u64, Option<SystemTime>)> {
    let data = file.metadata()?;
    Ok((data.len(), data.modified().ok()))
}

#[cold]
fn unreadable(name: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "Csv", format!("{name}: {error}")).with_source(error)
}

trait ReadSeek: Read + Seek {}
impl<R: Read + Seek> ReadSeek for R {}

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

impl Source {
    /// The name for messages.
    pub(super) fn name(&self) -> String {
        match &self.bytes {
            Bytes::File { path, .. } => path.display().to_string(),
            Bytes::Memory(_) => "the table".to_owned(),
        }
    }

    /// What is wrong with the table as a whole.
    #[cold]
    pub(super) fn wrong(&self, message: &str) -> Error {
        Error::new(ErrorKind::Format, "Csv", format!("{}: {message}", self.name()))
    }

    /// What is wrong in the row at `byte`.
    #[cold]
    pub(super) fn wrong_at(&self, byte: u64, message: &str) -> Error {
        match self.line(byte) {
            Ok(line) => self.wrong(&format!("line {line}: {message}")),
            Err(error) => error,
        }
    }

    /// The line in which the row at `byte` begins, from 1. The lines before it are counted: only messages need it.
    pub(super) fn line(&self, byte: u64) -> Result<u64> {
        let (mut line, mut at) = (1, 0);
        let mut reader = BufReader::new(self.raw()?);
        loop {
            let buffer = reader.fill_buf().map_err(|e| unreadable(&self.name(), e))?;
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

    fn raw(&self) -> Result<Box<dyn ReadSeek>> {
        let (path, before) = match &self.bytes {
            Bytes::Memory(bytes) => return Ok(Box::new(Cursor::new(bytes.clone()))),
            Bytes::File { path, state } => (path, state),
        };
        let file = File::open(path).map_err(|e| unreadable(&self.name(), e))?;
        if state(&file).map_err(|e| unreadable(&self.name(), e))? != *before {
            return Err(self.wrong("the file has changed since it was opened: open it again"));
        }
        Ok(Box::new(file))
    }

    /// A reader of rows, at the first.
    pub(super) fn rows(&self) -> Result<Rows<'_>> {
        let reader = self.reader(Limited { inner: self.raw()?, left: 0 });
        Ok(Rows { source: self, reader, record: ByteRecord::new() })
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

    /// Refuses a last row, which begins at `byte`, whose quote is not closed: all rows behind it are in that one.
    pub(super) fn check_end(&self, byte: u64) -> Result<()> {
        let mut raw = self.raw()?;
        let mut end = Vec::new();
        let read = raw.seek(SeekFrom::Start(byte)).and_then(|_| raw.take(self.limit as u64).read_to_end(&mut end));
        read.map_err(|e| unreadable(&self.name(), e))?;
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

/// Rows of a table, one after the other or by their place.
pub(super) struct Rows<'a> {
    source: &'a Source,
    reader: Reader<Limited>,
    record: ByteRecord,
}

impl Rows<'_> {
    /// The next row with its place, none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>> {
        let at = self.reader.position().byte();
        self.allow();
        let more = self.reader.read_byte_record(&mut self.record).map_err(|e| failed(self.source, at, e))?;
        let length = self.reader.position().byte() - at;
        if length > self.source.limit as u64 {
            return Err(too_long(self.source, at));
        }
        // A reader that begins here would leave it out, and the row would be another one.
        if at > 0 && self.record.get(0).is_some_and(|field| field.starts_with(MARK)) {
            return Err(self
                .source
                .wrong_at(at, "the row begins with a byte order mark: remove it, it belongs at a file's start"));
        }
        Ok(more.then_some((at, &self.record)))
    }

    /// The row at a place.
    pub(super) fn at(&mut self, byte: u64) -> Result<&ByteRecord> {
        self.allow();
        let mut place = Position::new();
        place.set_byte(byte);
        self.reader.seek(place).map_err(|e| failed(self.source, byte, e))?;
        match self.next()? {
            Some(_) => Ok(&self.record),
            None => Err(self.source.wrong("the file is shorter than when it was opened: open it again")),
        }
    }

    /// Lets one row in, and what the reader takes beyond it.
    fn allow(&mut self) {
        self.reader.get_mut().left = self.source.limit.saturating_add(2 * BUFFER);
    }
}

#[cold]
fn failed(source: &Source, at: u64, error: ::csv::Error) -> Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::Other => too_long(source, at),
        ::csv::ErrorKind::Io(error) => unreadable(&source.name(), error),
        _ => source.wrong_at(at, "the row cannot be read"),
    }
}

#[cold]
fn too_long(source: &Source, at: u64) -> Error {
    let message = format!(
        "the row is longer than {} bytes: a quote may be unclosed, or the file is not CSV; `CsvOptions::line_limit` raises the limit",
        source.limit
    );
    source.wrong_at(at, &message)
}
