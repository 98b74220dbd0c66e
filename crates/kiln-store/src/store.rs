//! A folder of files that change together, as its readers see it.

use crate::archive::{numbers, place};
use crate::hidden::{self, Hidden};
use crate::lock::{Holder, Lock, holder};
use crate::manifest::{Manifest, NAME, Sum};
use crate::writer::From;
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

impl<D: Disk + Clone> Store<D> {
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

    /// Locks the folder for writing. What a crash has left is put in order: files of the current generation get their
    /// names, others are removed.
    ///
    /// # Errors
    /// Another process that writes here, by its id; a folder that cannot be written.
    pub fn lock(&self) -> Result<Writer<D>> {
        let lock = Lock::take(&self.folder)?;
        Writer::recover(&self.folder, self.disk.clone(), lock, From::Current)
    }

    /// As [`Store::lock`], to continue from the [latest](Store::latest) intact generation, which may be older than the current one. Newer
    /// generations are removed.
    ///
    /// # Errors
    /// As [`Store::lock`]; a generation that is not the latest any more.
    pub fn lock_at(&self, generation: &Generation) -> Result<Writer<D>> {
        let lock = Lock::take(&self.folder)?;
        // Now that nobody else writes.
        if self.latest()?.generation.number() != generation.number() {
            let message = format!("{}: another process has written here since: open it again", self.folder.display());
            return Err(Error::new(ErrorKind::Io, "lock", message));
        }
        let from = From::Generation(generation.manifest.clone());
        Writer::recover(&self.folder, self.disk.clone(), lock, from)
    }

    /// As [`Store::lock`] of a folder that need not be there. A new one has a hidden name until its first generation is complete, so that
    /// nobody ever sees it without one; if none comes, it is removed. (Windows does not rename folders with open files: there it is seen at
    /// once.)
    ///
    /// # Errors
    /// As [`Store::lock`]; a folder that cannot be made.
    pub fn create(&self) -> Result<Writer<D>> {
        if self.folder.is_dir() {
            return self.lock();
        }
        if self.folder.exists() {
            let error = io::Error::new(io::ErrorKind::NotADirectory, "a file is there");
            return Err(failed("save", &self.folder, "this folder cannot be made", error));
        }
        if cfg!(windows) {
            std::fs::create_dir_all(&self.folder)
                .map_err(|error| failed("save", &self.folder, "this folder cannot be made", error))?;
            return self.lock();
        }
        let (hidden, lock) = Hidden::new(&self.folder)?;
        Ok(Writer::hidden(hidden, self.disk.clone(), lock))
    }

    /// The process that is writing in this folder, if any is, or in one that is going to have its name; none on file systems without
    /// locks. Nothing is locked by asking.
    pub fn writer(&self) -> Option<Holder> {
        holder(&self.folder).or_else(|| hidden::writer(&self.folder))
    }

    /// As [`Store::create`], to replace what is there, also where its manifest cannot be read.
    ///
    /// # Errors
    /// As [`Store::create`], but for the manifest.
    pub fn replace(&self) -> Result<Writer<D>> {
        if !self.folder.is_dir() {
            return self.create();
        }
        let lock = Lock::take(&self.folder)?;
        Writer::recover(&self.folder, self.disk.clone(), lock, From::Nothing)
    }

    /// The newest generation whose files are all as they were written, and what is wrong with newer ones.
    ///
    /// # Errors
    /// No generation is whole: what is wrong with the newest. A manifest of a newer version.
    pub fn latest(&self) -> Result<Latest> {
        let mut skipped = Vec::new();
        let archived = numbers(&self.folder);
        let folders = archived.iter().map(|number| place(&self.folder, *number));
        for folder in std::iter::once(self.folder.clone()).chain(folders) {
            let missing = (!archived.is_empty()).then(|| differs_by(&folder.join(NAME), "is missing"));
            let found = Manifest::read(&folder).and_then(|manifest| {
                let generation = manifest.map(|manifest| Generation { folder, manifest });
                generation.map(|generation| generation.verify().map(|()| generation)).transpose()
            });
            match found {
                Ok(Some(generation)) => return Ok(Latest { generation, skipped }),
                Ok(None) => skipped.extend(missing),
                Err(error) if is_damage(&error) => skipped.push(error),
                Err(error) => return Err(error),
            }
        }
        let nothing = || {
            let message = format!("{}: there is no {NAME} here, so this is no run", self.folder.display());
            Error::new(ErrorKind::Io, "load", message)
        };
        Err(skipped.into_iter().next().unwrap_or_else(nothing))
    }
}

/// Whether a generation with this error is damaged. A file that may not be read, or cannot be for now, is not.
fn is_damage(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let missing = [io::ErrorKind::NotFound, io::ErrorKind::IsADirectory, io::ErrorKind::NotADirectory];
    error.kind() == ErrorKind::Format || source.is_some_and(|source| missing.contains(&source.kind()))
}

#[cold]
fn differs_by(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Format, "load", format!("{}: this file {why}", path.display()))
}

/// The latest intact generation.
#[derive(Debug)]
pub struct Latest {
    /// The newest whose files are all as they were written.
    pub generation: Generation,
    /// What is wrong with newer ones, the newest first.
    pub skipped: Vec<Error>,
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

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it has a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.manifest.files.contains_key(name)
    }

    /// Compares the checksums of all files.
    ///
    /// # Errors
    /// As [`Generation::path`].
    pub fn verify(&self) -> Result<()> {
        self.names().try_for_each(|name| self.path(name).map(drop))
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
    differs_by(path, "differs from the manifest: it was changed or cut short")
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
