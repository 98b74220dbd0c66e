//! A folder of files that change together, as its readers see it.

use crate::lock::{self, Holder, Lock};
use crate::manifest::{Manifest, NAME, Sum};
use crate::{Disk, Os, Writer, failed};
use kiln_tensor::{Error, ErrorKind, Result};
use std::io;
use std::path::{Path, PathBuf};

/// A folder of files that change together.
#[derive(Clone, Debug)]
pub struct Store<D = Os> {
    folder: PathBuf,
    disk: D,
}

impl Store {
    /// The store in a folder, which need not have one yet.
    pub fn new(folder: impl Into<PathBuf>) -> Store {
        Store::on(folder, Os)
    }
}

impl<D: Disk> Store<D> {
    /// The store in a folder of another file system than the operating system's: one that injects faults.
    pub fn on(folder: impl Into<PathBuf>, disk: D) -> Store<D> {
        Store { folder: folder.into(), disk }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The generation that the manifest names; `None` where there is no manifest.
    ///
    /// # Errors
    /// A manifest that cannot be read or is of a newer version.
    pub fn current(&self) -> Result<Option<Generation>> {
        let manifest = Manifest::read(&self.folder)?;
        Ok(manifest.map(|manifest| Generation { folder: self.folder.clone(), manifest }))
    }

    /// The process that holds the lock of [`Store::lock`]; `None` where nobody writes, and on file systems without locks. Nothing
    /// is locked by asking.
    ///
    /// # Errors
    /// A lock's file that cannot be read.
    pub fn holder(&self) -> Result<Option<Holder>> {
        lock::holder(&self.folder)
    }

    /// Locks the folder for writing. What a crash has left is put in order: files of the current generation get their
    /// names, others are removed.
    ///
    /// # Errors
    /// Another process that writes here, by its id; a folder that cannot be written.
    pub fn lock(&self) -> Result<Writer<'_, D>> {
        let lock = Lock::take(&self.folder)?;
        Writer::recover(&self.folder, &self.disk, lock)
    }
}

/// The files of one generation.
#[derive(Clone, Debug)]
pub struct Generation {
    folder: PathBuf,
    manifest: Manifest,
}

impl Generation {
    /// Its number; the first is 1.
    pub fn number(&self) -> u64 {
        self.manifest.generation
    }

    /// The names of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.manifest.files.keys().map(String::as_str)
    }

    /// Whether all files of this generation are there and as long as the manifest says: a quick look that reads none of them.
    ///
    /// # Errors
    /// A file that is missing or cannot be read; one of another length ([`ErrorKind::Format`]).
    pub fn check_lengths(&self) -> Result<()> {
        let length = |path: &Path| std::fs::metadata(path).map(|there| there.len());
        for (name, sum) in &self.manifest.files {
            let plain = self.folder.join(name);
            let found = length(&plain);
            let staged = || length(&staged(&self.folder, name, self.number()));
            if !matches!(found, Ok(bytes) if bytes == sum.bytes) && !matches!(staged(), Ok(bytes) if bytes == sum.bytes)
            {
                return Err(match found {
                    Err(error) => failed("load", &plain, "cannot be read", error),
                    Ok(_) => differs(&plain),
                });
            }
        }
        Ok(())
    }

    /// Where a file of this generation is, after its checksum was compared. (Between a commit and the renames that follow
    /// it, it has a temporary name.)
    ///
    /// # Errors
    /// A file that is not part of this generation, is missing or cannot be read; one that differs from the manifest
    /// ([`ErrorKind::Format`]).
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let plain = self.folder.join(name);
        let Some(sum) = self.manifest.files.get(name) else {
            let message = format!("{}: {NAME} does not list this file", plain.display());
            return Err(Error::new(ErrorKind::Format, "load", message));
        };
        let found = sum.is_of(&plain);
        if matches!(found, Ok(true)) {
            return Ok(plain);
        }
        let staged = staged(&self.folder, name, self.number());
        if matches!(sum.is_of(&staged), Ok(true)) {
            return Ok(staged);
        }
        Err(match found {
            Err(error) => failed("load", &plain, "cannot be read", error),
            Ok(_) => differs(&plain),
        })
    }

    /// The bytes of a file of this generation.
    ///
    /// # Errors
    /// As [`Generation::path`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let bytes = std::fs::read(&path).map_err(|error| failed("load", &path, "cannot be read", error))?;
        // A writer may have come in between.
        match Sum::of(bytes.as_slice()) {
            Ok(sum) if self.manifest.files.get(name) == Some(&sum) => Ok(bytes),
            _ => Err(differs(&path)),
        }
    }
}

#[cold]
fn differs(path: &Path) -> Error {
    let message = format!("{}: this file differs from the manifest: it was changed or cut short", path.display());
    Error::new(ErrorKind::Format, "load", message)
}

/// Where a file of a generation is before it gets its name.
pub(crate) fn staged(folder: &Path, name: &str, generation: u64) -> PathBuf {
    folder.join(format!(".{name}.generation-{generation}"))
}

/// The name and generation of a staged file, by its own name.
pub(crate) fn is_staged(name: &str) -> bool {
    let parts = name.strip_prefix('.').and_then(|rest| rest.rsplit_once(".generation-"));
    parts.is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether something other than a file has this name.
pub(crate) fn blocked(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder")),
        _ => Ok(()),
    }
}
