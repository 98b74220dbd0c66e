//! A file that grows, and that a resumed training goes on with.

use kiln_nn::StateDict;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file of lines or records, each of which is given to the system at once. It is made at the first write, and replaces one that was
/// there, unless a state says that it goes on with it ([`LogFile::load`]).
#[derive(Debug)]
pub(super) struct LogFile {
    /// The callback, for errors.
    of: &'static str,
    path: PathBuf,
    /// How many of these bytes are whole lines or records.
    whole: fn(&[u8]) -> usize,
    file: Option<File>,
    /// Length of the file as far as it is written; before it is opened, what a state says.
    bytes: u64,
}

impl LogFile {
    /// A file of lines.
    pub(super) fn of_lines(of: &'static str, path: PathBuf) -> LogFile {
        LogFile::new(of, path, |bytes| bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1))
    }

    /// A file of other records.
    pub(super) fn new(of: &'static str, path: PathBuf, whole: fn(&[u8]) -> usize) -> LogFile {
        LogFile { of, path, whole, file: None, bytes: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is nothing in it yet.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Makes the file, or cuts that of a resumed training to what it had, where it is not open yet.
    pub(super) fn open(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(self.opened().map_err(|error| self.failed(error))?);
        }
        Ok(())
    }

    /// Writes a line or a record.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.open()?;
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes)
        {
            // A part of it may be there. It is cut off, or if that fails too, the next write opens the file again and cuts it.
            let _ = file.set_len(self.bytes);
            self.file = None;
            return Err(self.failed(error));
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn opened(&mut self) -> io::Result<File> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        if self.bytes > 0 {
            match OpenOptions::new().read(true).write(true).open(&self.path) {
                Ok(file) => return self.cut(file),
                // Somebody has removed it: the rest of the training has a log all the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.bytes = 0,
                Err(error) => return Err(error),
            }
        }
        File::create(&self.path)
    }

    /// Cuts off what was written after the state. A file can be shorter than the state says, for example after a power failure: then its
    /// whole lines or records are kept.
    fn cut(&mut self, mut file: File) -> io::Result<File> {
        if file.metadata()?.len() < self.bytes {
            let mut there = Vec::new();
            file.read_to_end(&mut there)?;
            self.bytes = (self.whole)(&there) as u64;
        }
        file.set_len(self.bytes)?;
        file.seek(SeekFrom::Start(self.bytes))?;
        Ok(file)
    }

    #[cold]
    fn failed(&self, error: io::Error) -> Error {
        let message = format!("{}: the log cannot be written: {error}", self.path.display());
        Error::new(ErrorKind::Io, self.of, message).with_source(error)
    }

    /// Enters the length of the file into a state.
    pub(super) fn save(&self, name: &str, state: &mut StateDict) -> Result<()> {
        state.insert(name.to_owned(), Tensor::scalar(self.bytes as i64, &Device::cpu())?);
        Ok(())
    }

    /// Goes on with the file as it was when [`LogFile::save`] was called; where the state has none, the file is made anew.
    pub(super) fn load(&mut self, name: &str, state: &StateDict) -> Result<()> {
        self.bytes = match state.get(name) {
            Some(bytes) => bytes.item()?.max(0.0) as u64,
            None => 0,
        };
        self.file = None;
        Ok(())
    }
}
