//! The space on a disk, and disks that are full: what was to be written, what is free, what would help.

use crate::failed;
use kiln_tensor::{Error, Result, bytes_shown};
use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Finds out, before long work, whether a folder has room for so many bytes: writes a file of this size, down to the disk, and removes it.
///
/// # Errors
/// A full disk, with what is free there; whatever else the file system says.
pub fn expect_room(folder: &Path, bytes: u64) -> Result<()> {
    let path = folder.join(format!(".kiln-{}.tmp", std::process::id()));
    let written = fill(&path, bytes);
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(|error| {
        let error = failed("save", folder, "the run cannot be written in this folder", error);
        with_space(error, folder, Some(bytes))
    })
}

/// Writes a file of so many bytes, down to the disk.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
    file.sync_all()
}

/// An error of writing `bytes` (none where it is not known how many) to a folder. Where the disk is full, it says what is free there
/// and what would help.
#[cold]
pub(crate) fn with_space(error: Error, folder: &Path, bytes: Option<u64>) -> Error {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let full = |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if !source.is_some_and(full) {
        return error;
    }
    let shown = |bytes: u64| bytes_shown(usize::try_from(bytes).unwrap_or(usize::MAX));
    let needed = bytes.map(|bytes| format!("; {} were to be written", shown(bytes))).unwrap_or_default();
    let free = free(folder).map(|bytes| format!("; {} are free", shown(bytes))).unwrap_or_default();
    let message = format!("{}{needed}{free}; remove files there or choose a folder on another disk", error.message());
    Error::new(error.kind(), error.operation(), message).with_source(error)
}

/// Bytes that a user may still write to the file system of a folder; none where the system does not say.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the call writes nothing but the struct that it is given.
    let known = unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } == 0;
    // SAFETY: a call that succeeds has written all of it.
    let stat = known.then(|| unsafe { stat.assume_init() })?;
    // The types of these numbers differ from system to system.
    Some((stat.f_bavail as f64 * stat.f_frsize as f64) as u64)
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::{expect_room, with_space};
    use crate::failed;
    use std::io;
    use std::path::Path;

    #[test]
    fn a_full_disk_is_told_with_what_is_free() {
        let says = |folder: &str, kind: io::ErrorKind, bytes| {
            let error = failed("save", &Path::new(folder).join("file"), "cannot be written", kind.into());
            with_space(error, Path::new(folder), bytes).message().to_owned()
        };
        let end = "; remove files there or choose a folder on another disk";
        let full = says(".", io::ErrorKind::StorageFull, Some(3_210_000));
        assert!(
            full.starts_with("./file: cannot be written: no storage space; 3.21 MB were to be written; "),
            "{full}"
        );
        assert!(full.ends_with(end), "{full}");
        assert_eq!(full.contains("B are free;"), cfg!(unix), "{full}");
        let nowhere = says("/no/such/folder", io::ErrorKind::QuotaExceeded, None);
        assert_eq!(nowhere, format!("/no/such/folder/file: cannot be written: quota exceeded{end}"));
        let other = says(".", io::ErrorKind::PermissionDenied, Some(1));
        assert_eq!(other, "./file: cannot be written: permission denied");
    }

    #[test]
    fn a_folder_has_room_or_not() {
        let folder = tempfile::tempdir().unwrap();
        expect_room(folder.path(), 100_000).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        let error = expect_room(&folder.path().join("nowhere"), 1).unwrap_err();
        assert!(error.message().contains("nowhere: the run cannot be written in this folder: "), "{error}");
    }
}
