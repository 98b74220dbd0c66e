//! One file that is replaced completely or not at all.

use crate::disk::sync_folder;
use crate::space::with_space;
use crate::temporary::Temporary;
use crate::{failed, parent_of};
use kiln_tensor::{Error, Result};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file so that a crash, a full disk or a reader at the wrong moment never meets half of it: the bytes go to a
/// temporary file in the same folder, which is flushed to the disk and then renamed over `path`.
///
/// # Errors
/// Whatever the file system says, with the path; the temporary file is removed, and what was at `path` is still there. What
/// is at `path` must be a file: a folder or a device is not replaced.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes)).map_err(|error| unwritten(path, Some(bytes.len() as u64), error))
}

/// As [`write_atomically`], with what `write` writes: a file that is too large for the memory.
///
/// # Errors
/// As [`write_atomically`], and whatever `write` returns.
pub fn write_atomically_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    replace(path, write).map_err(|error| unwritten(path, None, error))
}

/// Gives the file `from` the name `to` in the same file system, once its bytes are on the disk: as [`write_atomically`], for a
/// file that was written bit by bit under another name.
///
/// # Errors
/// As [`write_atomically`]; the file then has its old name.
pub fn rename_atomically(from: &Path, to: &Path) -> Result<()> {
    let rename = || {
        let folder = folder_of(to)?;
        // On Windows only a file that is open for writing is flushed.
        File::options().write(true).open(from)?.sync_all()?;
        std::fs::rename(from, to)?;
        sync_folder(folder)
    };
    rename().map_err(|error| unwritten(to, None, error))
}

/// The error of a file that could not be written, of so many bytes if that is known.
#[cold]
fn unwritten(path: &Path, bytes: Option<u64>, error: io::Error) -> Error {
    with_space(failed("save", path, "cannot be written", error), parent_of(path), bytes)
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path)?;
    let mut temporary = Temporary::new_in(folder)?;
    write(temporary.file())?;
    temporary.persist(path)?;
    sync_folder(folder)
}

/// The folder of a path at which a file is, or nothing yet.
fn folder_of(path: &Path) -> io::Result<&Path> {
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    if path.file_name().is_none() {
        return refused("this is not a file name");
    }
    // A rename would put a file in the place of /dev/null too.
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => return refused("this is a folder"),
        Ok(there) if !there.is_file() => return refused("this is not a regular file"),
        _ => {}
    }
    Ok(parent_of(path))
}
