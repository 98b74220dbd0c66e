//! A lock on a folder: one writer at a time.

use crate::failed;
use kiln_tensor::{Error, ErrorKind, Result};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

const NAME: &str = ".lock";

/// How often a lock that is taken is tried again, and after how long: [`holder`] has it for a moment.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(5);

/// The process that writes in a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its id; none where the system does not let others read the lock's file (Windows).
    pub process: Option<u32>,
}

impl fmt::Display for Holder {
    /// `process 1234`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "process {process}"),
            None => f.write_str("another process"),
        }
    }
}

/// Held while it lives. The operating system lets go of it when the process ends, however that happens, so a lock is never
/// left behind by a crash.
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

/// The process that holds a folder's lock, if any does. A file that is left of a process that was killed is not locked.
pub(crate) fn holder(folder: &Path) -> Option<Holder> {
    let mut file = File::open(folder.join(NAME)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(Holder { process: process(&mut file) }),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The id in a lock's file.
fn process(file: &mut File) -> Option<u32> {
    let mut id = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut id)).ok()?;
    id.parse().ok()
}

impl Lock {
    /// The folder's lock, with this process's id in its file.
    ///
    /// # Errors
    /// Another writer, by its process id; a file that cannot be made.
    pub(crate) fn take(folder: &Path) -> Result<Lock> {
        let path = folder.join(NAME);
        let unlocked = |error| failed("lock", &path, "cannot be made", error);
        let mut tries = 0;
        loop {
            let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
            let mut file = opened.map_err(unlocked)?;
            match file.try_lock() {
                // A file system without locks: as it was before there were any.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    sleep(PAUSE);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Err(taken(folder, &mut file)),
            }
            // Whoever held it before removes the file when it is done: then this is not the folder's lock any more.
            if !is_at(&file, &path) {
                continue;
            }
            let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            written.map_err(unlocked)?;
            return Ok(Lock { path, file });
        }
    }

    /// The folder has another name now.
    pub(crate) fn moved(&mut self, folder: &Path) {
        self.path = folder.join(NAME);
    }
}

impl Lock {
    /// Fails where the folder was removed or replaced, and this is not its lock any more.
    pub(crate) fn expect_held(&self, folder: &Path) -> Result<()> {
        if is_at(&self.file, &self.path) {
            return Ok(());
        }
        let message = format!("{}: this folder was removed or replaced while it was written in", folder.display());
        Err(Error::new(ErrorKind::Io, "save", message))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the file is closed, and with it unlocked. One that stays is taken over by the next writer; one of another is not ours.
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cold]
fn taken(folder: &Path, file: &mut File) -> Error {
    busy(folder, Holder { process: process(file) })
}

/// The error of a folder in which a process is writing.
#[cold]
pub(crate) fn busy(folder: &Path, holder: Holder) -> Error {
    let message =
        format!("{}: {holder} is writing here; wait until it ends or choose another folder", folder.display());
    Error::new(ErrorKind::Io, "lock", message)
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |there: &fs::Metadata| (there.dev(), there.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if place(&a) == place(&b))
}

/// A file that is open cannot be removed here.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}
