//! A file under a name of its own until it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names that are tried: as many files as this may be left of processes that had the same id and were killed.
const TRIES: usize = 1 << 16;

/// A new file with the usual permissions. It is removed when it is dropped, unless it was persisted.
pub(crate) struct Temporary {
    /// Open until the file is persisted.
    file: File,
    path: Removed,
}

/// A path whose file is removed at the end, unless it has none any more.
struct Removed(Option<PathBuf>);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What cannot be removed stays: the error that led here is the one to report.
            let _ = fs::remove_file(path);
        }
    }
}

impl Temporary {
    /// In `folder`, under a name that no other process or thread uses.
    pub(crate) fn new_in(folder: &Path) -> io::Result<Temporary> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut taken = None;
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".kiln-{}-{number}.tmp", std::process::id()));
            match File::create_new(&path) {
                Ok(file) => return Ok(Temporary { file, path: Removed(Some(path)) }),
                // Another process had this id: in another container, or before a crash.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(taken.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Waits until the bytes are on the disk and renames the file to `to`, where it replaces another one in one step.
    pub(crate) fn persist(self, to: &Path) -> io::Result<()> {
        let Temporary { file, mut path } = self;
        file.sync_all()?;
        // Not every system renames a file that is open.
        drop(file);
        if let Some(from) = &path.0 {
            fs::rename(from, to)?;
        }
        path.0 = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is a test's report

    use super::*;
    use std::io::Write;

    #[test]
    fn files_have_names_of_their_own_and_go_unless_persisted() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(&folder).unwrap().count();
        let mut first = Temporary::new_in(folder.path()).unwrap();
        // Left by a process that had this id.
        let number: u64 = {
            let name = first.path.0.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            name.strip_suffix(".tmp").unwrap().rsplit('-').next().unwrap().parse().unwrap()
        };
        let left = format!(".kiln-{}-{}.tmp", std::process::id(), number + 1);
        fs::write(folder.path().join(&left), "left").unwrap();
        let second = Temporary::new_in(folder.path()).unwrap();
        assert_eq!((names(), fs::read_to_string(folder.path().join(&left)).unwrap().as_str()), (3, "left"));
        drop(second);
        first.file().write_all(b"whole").unwrap();
        first.persist(&folder.path().join("file")).unwrap();
        assert_eq!((names(), fs::read_to_string(folder.path().join("file")).unwrap().as_str()), (2, "whole"));
    }

    #[test]
    fn what_cannot_be_renamed_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = Temporary::new_in(folder.path()).unwrap();
        assert!(file.persist(&folder.path().join("nowhere/file")).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
