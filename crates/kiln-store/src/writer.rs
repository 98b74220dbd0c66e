//! Writing a generation: files under temporary names, then the manifest, then the files' own names.
//!
//! The rename of the manifest is the moment at which the new generation is there. A crash before it leaves the old files,
//! which nothing has touched; a crash after it leaves files under temporary names, which readers find there and the next
//! writer renames.

use crate::lock::Lock;
use crate::manifest::{Manifest, NAME, Sum, is_plain};
use crate::space::with_space;
use crate::store::{blocked, is_staged, staged};
use crate::{Disk, Os, failed};
use kiln_tensor::{Error, Result};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The one writer of a folder: it holds the folder's lock.
pub struct Writer<'s, D = Os> {
    folder: &'s Path,
    disk: &'s D,
    current: Option<Manifest>,
    /// Whether the folder is in order: not where a commit has failed.
    settled: bool,
    _lock: Lock,
}

impl<'s, D: Disk> Writer<'s, D> {
    /// A writer of a folder in which a crash may have left something.
    pub(crate) fn recover(folder: &'s Path, disk: &'s D, lock: Lock) -> Result<Writer<'s, D>> {
        let mut writer = Writer { folder, disk, current: None, settled: false, _lock: lock };
        writer.settle()?;
        Ok(writer)
    }

    /// Completes what a crash or a failed commit has interrupted.
    fn settle(&mut self) -> Result<()> {
        self.current = Manifest::read(self.folder)?;
        if let Some(current) = &self.current {
            self.publish(current)?;
        }
        self.sweep()?;
        self.settled = true;
        Ok(())
    }

    /// The number of the current generation, 0 before the first.
    pub fn generation(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.generation)
    }

    /// Whether files of these names can be written: to be asked before long work.
    ///
    /// # Errors
    /// A name that is not one of a file in this folder, or that a folder has.
    pub fn check<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        for name in names {
            let path = self.folder.join(name);
            if !is_plain(name) {
                return Err(Error::value(
                    "save",
                    format!("{name:?} is not the name of a file in {}", self.folder.display()),
                ));
            }
            blocked(&path).map_err(|error| failed("save", &path, "cannot be written", error))?;
        }
        Ok(())
    }

    /// Replaces the files of the current generation by these, all or none; returns the new generation's number. Files of
    /// the old generation that are not among them are removed.
    ///
    /// # Errors
    /// Names as in [`Writer::check`]; whatever the file system says. Where [`Store::current`](crate::Store::current) then
    /// still has the old number, nothing has changed; else the new files are safe, though some may have temporary names
    /// until the next commit or the next writer.
    pub fn commit<B: AsRef<[u8]>>(&mut self, files: &[(&str, B)]) -> Result<u64> {
        self.check(files.iter().map(|(name, _)| *name))?;
        if !self.settled {
            self.settle()?;
        }
        self.settled = false;
        let generation = self.generation() + 1;
        let next = self.stage(generation, files).map_err(|error| {
            // A rename that reports an error may have happened all the same: then the staged files are needed. The error
            // that matters is the first one.
            if Manifest::read(self.folder).is_ok_and(|there| there == self.current) {
                let _ = self.sweep();
            }
            let bytes = files.iter().map(|(_, bytes)| bytes.as_ref().len() as u64).sum();
            with_space(error, self.folder, Some(bytes))
        })?;
        let old = self.current.replace(next);
        // From here on the new generation is there.
        self.sync()?;
        let Some(current) = &self.current else { return Ok(generation) };
        self.publish(current)?;
        for name in old.iter().flat_map(|old| old.files.keys()).filter(|name| !current.files.contains_key(*name)) {
            self.remove(&self.folder.join(name))?;
        }
        self.sync()?;
        self.settled = true;
        Ok(generation)
    }

    /// Writes the files and the manifest, which makes them the current generation.
    fn stage<B: AsRef<[u8]>>(&self, generation: u64, files: &[(&str, B)]) -> Result<Manifest> {
        let mut sums = BTreeMap::new();
        for (name, bytes) in files {
            let (path, bytes) = (staged(self.folder, name, generation), bytes.as_ref());
            self.write(&path, name, bytes)?;
            let sum = Sum::of(bytes).map_err(|error| failed("save", &path, "cannot be summed", error))?;
            sums.insert((*name).to_owned(), sum);
        }
        self.sync()?;
        let manifest = Manifest::new(generation, sums);
        let path = staged(self.folder, NAME, generation);
        self.write(&path, NAME, &manifest.encode()?)?;
        self.rename(&path, NAME)?;
        Ok(manifest)
    }

    /// Gives the files of a generation their names.
    fn publish(&self, manifest: &Manifest) -> Result<()> {
        for name in manifest.files.keys() {
            let path = staged(self.folder, name, manifest.generation);
            if path.exists() {
                self.rename(&path, name)?;
            }
        }
        Ok(())
    }

    /// Removes what an interrupted writer has left.
    fn sweep(&self) -> Result<()> {
        let unread = |error| failed("save", self.folder, "cannot be read", error);
        for entry in std::fs::read_dir(self.folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            if entry.file_name().to_str().is_some_and(is_staged) {
                self.remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        let written = self.disk.write(path, bytes);
        written.map_err(|error| failed("save", &self.folder.join(name), "cannot be written", error))
    }

    fn rename(&self, from: &Path, name: &str) -> Result<()> {
        let to = self.folder.join(name);
        self.disk.rename(from, &to).map_err(|error| failed("save", &to, "cannot be written", error))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("save", path, "cannot be removed", error))
            }
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        self.disk.sync_folder(self.folder).map_err(|error| failed("save", self.folder, "cannot be synchronized", error))
    }
}
