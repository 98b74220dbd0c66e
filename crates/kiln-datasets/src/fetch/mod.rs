//! Data sets from their mirrors: resumed, checked, put in place whole.

mod archive;
mod client;
mod download;
mod partial;
mod unpacked;
mod url;

#[cfg(feature = "fuzzing")]
pub(crate) use archive::unpack;

pub use url::fetch_url;

use crate::catalog::{CATALOG, Content, Source, source};
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// What happens during a [`fetch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FetchEvent<'a> {
    /// Another process fetches into the same folder; it is waited for.
    Waiting,
    /// So much of the data set is here.
    Received {
        /// The file that is fetched.
        file: &'a str,
        /// Bytes of all files so far.
        done: u64,
        /// Bytes of all files; 0 where nobody says how many.
        total: u64,
    },
    /// Something failed that may go better the next time.
    Retrying {
        /// The file that is fetched.
        file: &'a str,
        /// The mirror and what went wrong.
        reason: &'a str,
    },
    /// An archive is unpacked.
    Unpacking {
        /// The archive.
        file: &'a str,
    },
}

/// Fetches the data set `name` of the [`CATALOG`](crate::CATALOG) into its folder in `directory`, and returns that folder.
///
/// Files that are there already and right are kept, those that came out of an archive too. Of the others, what an earlier call received is resumed; mirrors are
/// tried in turn, a few times each; a file has its name only once its SHA-256 is right and its bytes are on the disk. Of
/// several processes one fetches while the others wait.
///
/// # Errors
/// A name that is not known; a folder that cannot be written; a file that no mirror gives, each with its reason.
pub fn fetch(name: &str, directory: impl AsRef<Path>, mut progress: impl FnMut(FetchEvent<'_>)) -> Result<PathBuf> {
    let source = source(name).ok_or_else(|| {
        let known: Vec<&str> = CATALOG.iter().map(|source| source.name).collect();
        Error::value("fetch", format!("`{name}` is not a known data set; known are {}", known.join(", ")))
    })?;
    fetch_source(source, directory.as_ref(), &mut progress)
}

/// [`fetch`] for a data set that is not in the catalog.
///
/// # Errors
/// As those of [`fetch`].
pub fn fetch_source(
    source: &Source<'_>,
    directory: impl AsRef<Path>,
    progress: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf> {
    let folder = source.folder(directory);
    fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, e))?;
    let lock = lock(&folder, progress)?;
    let agent = client::agent();
    let known = source.files.iter().all(|file| file.size.is_some()).then(|| source.size());
    let mut before = 0;
    for file in source.files {
        let mut report = |event: FetchEvent<'_>| match event {
            FetchEvent::Received { file, done, total } => {
                let total = known.unwrap_or(if total == 0 { 0 } else { before + total });
                progress(FetchEvent::Received { file, done: before + done, total });
            }
            other => progress(other),
        };
        let to = folder.join(file.name);
        match file.content {
            Content::File => download::download(&agent, file, &to, lock.is_some(), &mut report)?,
            Content::TarGz(names) | Content::Zip(names) => {
                if !unpacked::is_whole(file, names, &folder)? {
                    download::download(&agent, file, &to, lock.is_some(), &mut report)?;
                    report(FetchEvent::Unpacking { file: file.name });
                    archive::unpack(file, &to, &folder)?;
                    unpacked::note(file, names, &folder)?;
                    remove(&to)?;
                }
            }
        }
        before += file.size.or_else(|| Some(fs::metadata(&to).ok()?.len())).unwrap_or(0);
        progress(FetchEvent::Received { file: file.name, done: before, total: known.unwrap_or(before) });
    }
    Ok(folder)
}

/// Removes an archive; where there are no locks, another process may have done so.
fn remove(archive: &Path) -> Result<()> {
    match fs::remove_file(archive) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unwritable(archive, e)),
        _ => Ok(()),
    }
}

/// Keeps other processes out of the folder until it is dropped; a process that ends or is killed lets go of it. `None` where the
/// file system has no locks.
fn lock(folder: &Path, progress: &mut dyn FnMut(FetchEvent<'_>)) -> Result<Option<File>> {
    let path = folder.join(".lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| unwritable(&path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(FetchEvent::Waiting);
            file.lock().map_err(|e| unwritable(&path, e))?;
        }
        // Some network file systems have no locks: two processes then do the same work, each in a file of its own.
        Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(unwritable(&path, e)),
    }
    Ok(Some(file))
}

/// What the system refused to do with this file or folder.
pub(crate) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "fetch", format!("{}: {error}", path.display())).with_source(error)
}

/// An error of kiln-store, as one of [`fetch`].
pub(crate) fn of_fetching(error: Error) -> Error {
    Error::new(error.kind(), "fetch", error.message().to_owned()).with_source(error)
}
