//! A table's bytes, in a file or in memory.

use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

#[derive(Clone, Debug)]
pub(super) enum Bytes {
    File { path: PathBuf, state: (u64, Option<SystemTime>) },
    Memory(Arc<[u8]>),
}

/// What a reader can go back in.
pub(super) trait ReadSeek: Read + Seek + Send {}
impl<R: Read + Seek + Send> ReadSeek for R {}

impl Bytes {
    /// A file as it is now.
    pub(super) fn file(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(|e| unreadable(&path.display().to_string(), e))?;
        let state = state(&file).map_err(|e| unreadable(&path.display().to_string(), e))?;
        Ok(Bytes::File { path, state })
    }

    /// The name for messages.
    pub(super) fn name(&self) -> String {
        match self {
            Bytes::File { path, .. } => path.display().to_string(),
            Bytes::Memory(_) => "the table".to_owned(),
        }
    }

    /// What is wrong with the table as a whole.
    #[cold]
    pub(super) fn wrong(&self, message: &str) -> Error {
        Error::new(ErrorKind::Format, "Csv", format!("{}: {message}", self.name()))
    }

    /// What went wrong in reading.
    #[cold]
    pub(super) fn unreadable(&self, error: std::io::Error) -> Error {
        unreadable(&self.name(), error)
    }

    /// A reader of the bytes, which must be those that were there when the table was opened.
    pub(super) fn reader(&self) -> Result<Box<dyn ReadSeek>> {
        let (path, before) = match self {
            Bytes::Memory(bytes) => return Ok(Box::new(Cursor::new(bytes.clone()))),
            Bytes::File { path, state } => (path, state),
        };
        let file = File::open(path).map_err(|e| self.unreadable(e))?;
        if state(&file).map_err(|e| self.unreadable(e))? != *before {
            return Err(self.wrong("the file has changed since it was opened: open it again"));
        }
        Ok(Box::new(file))
    }

    /// The first bytes, at most `count`.
    pub(super) fn start(&self, count: u64) -> Result<Vec<u8>> {
        let mut start = Vec::new();
        self.reader()?.take(count).read_to_end(&mut start).map_err(|e| self.unreadable(e))?;
        Ok(start)
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
