//! A folder that is not seen before its first generation is complete.

use crate::lock::{Holder, Lock, busy, holder};
use crate::{failed, parent_of};
use kiln_tensor::{Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A new folder under a hidden name beside its own. It is removed when it is dropped, with the folders that were made above it, unless it has
/// got its name.
pub(crate) struct Hidden {
    path: PathBuf,
    name: PathBuf,
    /// Folders that were made, the innermost first.
    made: Vec<PathBuf>,
    complete: bool,
}

impl Hidden {
    /// A folder that is going to be `name`, and its lock.
    pub(crate) fn new(name: &Path) -> Result<(Hidden, Lock)> {
        let unmade = |error| failed("save", name, "this folder cannot be made", error);
        // Without a dot at its end.
        let name: &Path = &name.components().collect::<PathBuf>();
        let parent = parent_of(name);
        let prefix = prefix(name)?;
        let made = parent.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = made.map(Path::to_path_buf).collect();
        fs::create_dir_all(parent).map_err(unmade)?;
        sweep(name, parent, &prefix)?;
        let path = parent.join(format!("{prefix}{}", std::process::id()));
        let hidden = Hidden { path: path.clone(), name: name.to_owned(), made, complete: false };
        fs::create_dir_all(&path).map_err(unmade)?;
        let lock = Lock::take(&path)?;
        Ok((hidden, lock))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name from now on.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// It has its name. Gives the folders that were made above it, the innermost first.
    pub(crate) fn completed(mut self) -> Vec<PathBuf> {
        self.complete = true;
        std::mem::take(&mut self.made)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.complete {
            let _ = fs::remove_dir_all(&self.path);
            // A folder that holds something stays: it cannot be removed so.
            self.made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
        }
    }
}

/// What the hidden names of a folder begin with.
fn prefix(name: &Path) -> Result<String> {
    match name.file_name() {
        Some(last) => Ok(format!(".{}.new-", last.to_string_lossy())),
        None => Err(Error::value("save", format!("{}: this is not the name of a folder", name.display()))),
    }
}

/// Who is writing in a new folder that is going to have this name.
pub(crate) fn writer(name: &Path) -> Option<Holder> {
    let prefix = prefix(name).ok()?;
    hidden(parent_of(name), &prefix).ok()?.iter().find_map(|path| holder(path))
}

/// Removes what killed processes have left under the hidden names of a folder; fails where another process is writing there.
fn sweep(name: &Path, parent: &Path, prefix: &str) -> Result<()> {
    for path in hidden(parent, prefix).map_err(|error| failed("save", parent, "cannot be read", error))? {
        if let Some(holder) = holder(&path) {
            return Err(busy(name, holder));
        }
        fs::remove_dir_all(&path).map_err(|error| failed("save", &path, "cannot be removed", error))?;
    }
    Ok(())
}

/// The folders with hidden names of this beginning.
fn hidden(parent: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let number = name.as_deref().and_then(|name| name.strip_prefix(prefix)).map(str::parse::<u32>);
        matches!(number, Some(Ok(_))) && path.is_dir()
    };
    Ok(fs::read_dir(parent)?.flatten().map(|entry| entry.path()).filter(is_hidden).collect())
}
