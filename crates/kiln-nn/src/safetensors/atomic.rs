//! Files that are there completely or not at all.

use kiln_tensor::{Error, ErrorKind, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file so that a crash, a full disk or a reader at the wrong moment never meets half of it: the bytes go to a
/// temporary file beside it, which is flushed to the disk and then renamed over `path`.
///
/// # Errors
/// Whatever the file system says, with the path; the temporary file is removed and what was at `path` is still there. What is
/// at `path` must be a file: a folder or a device is not replaced.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    write_all_atomically(&[(path, bytes)])
}

/// Writes several files as [`write_atomically`] does, each to its temporary file first: where one cannot be written, none is
/// replaced.
///
/// # Errors
/// As [`write_atomically`], of the first file that cannot be written.
pub fn write_all_atomically<P: AsRef<Path>, B: AsRef<[u8]>>(files: &[(P, B)]) -> Result<()> {
    let mut written = Written(Vec::with_capacity(files.len()));
    for (path, bytes) in files {
        let path = path.as_ref();
        let temporary = temporary_beside(path).map_err(|error| unwritten(path, error))?;
        written.0.push((temporary.clone(), path));
        fill(&temporary, bytes.as_ref()).map_err(|error| unwritten(path, error))?;
    }
    for (temporary, path) in &written.0 {
        fs::rename(temporary, path).map_err(|error| unwritten(path, error))?;
    }
    // A rename itself is on the disk once its folder is. A file system that cannot sync folders has still renamed.
    let mut folders: Vec<&Path> = written.0.iter().filter_map(|(_, path)| folder_of(path)).collect();
    folders.dedup();
    for folder in folders {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// Temporary files and what they are to become: those that have not been renamed are removed.
struct Written<'a>(Vec<(PathBuf, &'a Path)>);

impl Drop for Written<'_> {
    fn drop(&mut self) {
        for (temporary, _) in &self.0 {
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cold]
fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "save", format!("{}: cannot be written: {error}", path.display())).with_source(error)
}

fn fill(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// In the same folder, since a rename does not cross file systems; a name that no other writer has.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let Some(name) = path.file_name() else { return refused("this is no file name") };
    // A rename would put a file in the place of /dev/null too.
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return refused("this is a folder"),
        Ok(there) if !there.is_file() => return refused("this is no file but a device or the like"),
        _ => {}
    }
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(temporary))
}

fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}
