//! Writing a generation: files under temporary names, then the manifest, then the files' own names.
//!
//! The rename of the manifest is the moment at which the new generation is there. A crash before it leaves the old files,
//! which nothing has touched; a crash after it leaves files under temporary names, which readers find there and the next
//! writer renames. In a folder that is new, nothing is seen before its first generation is complete: the folder gets its name then.

use crate::archive::{Keep, numbers, place};
use crate::hidden::Hidden;
use crate::lock::Lock;
use crate::manifest::{Manifest, NAME, Sum, is_plain};
use crate::space::with_space;
use crate::store::{blocked, is_staged, staged};
use crate::{Disk, Os, failed, parent_of};
use kiln_tensor::{Error, Result};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The one writer of a folder: it holds the folder's lock.
pub struct Writer<D = Os> {
    hands: Hands<D>,
    current: Option<Manifest>,
    /// The largest number that a generation has had.
    newest: u64,
    /// The generation of a commit that has failed: the next one puts in order what it left.
    failed: Option<u64>,
    // In this order: the lock's file goes before the folder.
    lock: Lock,
    hidden: Option<Hidden>,
}

/// What a writer begins with.
pub(crate) enum From {
    /// The current generation.
    Current,
    /// This one, which newer ones are removed for.
    Generation(Manifest),
    /// Whatever is there: it is replaced, also where its manifest cannot be read.
    Nothing,
}

/// What writes in a folder.
pub(crate) struct Hands<D> {
    pub(crate) folder: PathBuf,
    pub(crate) disk: D,
}

impl<D: Disk> Writer<D> {
    /// Completes a commit that a crash interrupted. Generations newer than `from` are removed.
    pub(crate) fn recover(folder: &Path, disk: D, lock: Lock, from: From) -> Result<Writer<D>> {
        let hands = Hands { folder: folder.to_owned(), disk };
        let newest = numbers(folder).into_iter().next().unwrap_or(0);
        let (current, newest) = match from {
            From::Generation(from) => {
                // What is newer could not be used.
                for number in numbers(folder).into_iter().filter(|number| *number > from.generation) {
                    hands.remove_all(&place(folder, number))?;
                }
                let there = Manifest::read(folder).ok().flatten().map_or(0, |there| there.generation);
                (Some(from), newest.max(there))
            }
            From::Nothing => {
                let there = Manifest::read(folder).ok().flatten();
                (there.clone(), newest.max(there.map_or(0, |there| there.generation)))
            }
            From::Current => {
                let current = Manifest::read(folder)?;
                let number = current.as_ref().map_or(0, |current| current.generation);
                (current, newest.max(number))
            }
        };
        if let Some(current) = &current {
            hands.publish(current)?;
        }
        hands.sweep()?;
        Ok(Writer { hands, current, newest, failed: None, lock, hidden: None })
    }

    /// The writer of a folder that is not there yet.
    pub(crate) fn hidden(hidden: Hidden, disk: D, lock: Lock) -> Writer<D> {
        let hands = Hands { folder: hidden.path().to_owned(), disk };
        Writer { hands, current: None, newest: 0, failed: None, lock, hidden: Some(hidden) }
    }

    /// Where the files are: under a hidden name before the first generation of a new folder.
    pub fn folder(&self) -> &Path {
        &self.hands.folder
    }

    /// The number of the current generation, 0 before the first.
    pub fn generation(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.generation)
    }

    /// The number that the next generation gets. That of a commit which failed is not used again: it may be there all the same.
    pub fn next_generation(&self) -> u64 {
        self.newest.max(self.generation()).max(self.failed.unwrap_or(0)) + 1
    }

    /// Whether files of these names can be written: to be asked before long work.
    ///
    /// # Errors
    /// A name that is not one of a file in this folder, or that a folder has.
    pub fn check<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        for name in names {
            let path = self.hands.folder.join(name);
            if !is_plain(name) {
                let message = format!("{name:?} is not the name of a file in {}", self.hands.folder.display());
                return Err(Error::value("save", message));
            }
            blocked(&path).map_err(|error| failed("save", &path, "cannot be written", error))?;
        }
        Ok(())
    }

    /// Replaces the files of the current generation by these, all or none; returns the new generation's number. Files of
    /// the old generation that are not among them are removed, and so are older generations that were kept.
    ///
    /// # Errors
    /// Names as in [`Writer::check`]; whatever the file system says. Where [`Store::current`](crate::Store::current) then
    /// still has the old number, nothing has changed; else the new files are safe, though some may have temporary names
    /// until the next commit or the next writer.
    pub fn commit<B: AsRef<[u8]>>(&mut self, files: &[(&str, B)]) -> Result<u64> {
        self.commit_keeping(files, &Keep::default())
    }

    /// As [`Writer::commit`], but older generations are kept, each whole in a folder of its own
    /// ([`CHECKPOINTS`](crate::CHECKPOINTS)).
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub fn commit_keeping<B: AsRef<[u8]>>(&mut self, files: &[(&str, B)], keep: &Keep) -> Result<u64> {
        self.check(files.iter().map(|(name, _)| *name))?;
        self.lock.expect_held(&self.hands.folder)?;
        let generation = self.next_generation();
        self.settle()?;
        self.failed = Some(generation);
        let next = self.stage(generation, files, keep).map_err(|error| {
            // A rename that reports an error may have happened all the same: then the staged files are needed. The error
            // that matters is the first one.
            let there = Manifest::read(&self.hands.folder);
            if there.is_ok_and(|there| there.is_none_or(|there| there.generation != generation)) {
                let _ = self.hands.sweep();
            }
            let bytes = files.iter().map(|(_, bytes)| bytes.as_ref().len() as u64).sum();
            with_space(error, &self.hands.folder, Some(bytes))
        })?;
        let old = self.current.replace(next);
        // From here on the new generation is there.
        self.newest = generation;
        let Some(current) = &self.current else { return Ok(generation) };
        let hands = &self.hands;
        hands.sync()?;
        hands.publish(current)?;
        for name in old.iter().flat_map(|old| old.files.keys()).filter(|name| !current.files.contains_key(*name)) {
            hands.remove(&hands.folder.join(name))?;
        }
        // What cannot be removed now is removed by a later commit: the new generation is there.
        let _ = hands.prune(generation, keep);
        hands.sync()?;
        self.appear()?;
        self.failed = None;
        Ok(generation)
    }

    /// Puts in order what a commit that failed has left.
    fn settle(&mut self) -> Result<()> {
        let Some(failed) = self.failed else { return Ok(()) };
        // Its manifest may have got its name all the same.
        if let Some(there) = Manifest::read(&self.hands.folder)?.filter(|there| there.generation == failed) {
            (self.current, self.newest) = (Some(there), failed);
        }
        if let Some(current) = &self.current {
            self.hands.publish(current)?;
        }
        self.hands.sweep()?;
        self.failed = None;
        Ok(())
    }

    /// Removes all generations, and the folder where nothing else is in it.
    ///
    /// # Errors
    /// Whatever the file system says; what is left is no generation.
    pub fn discard(self) -> Result<()> {
        let Writer { hands, current, lock, hidden, .. } = self;
        hands.remove(&hands.folder.join(NAME))?;
        for name in current.iter().flat_map(|current| current.files.keys()) {
            hands.remove(&hands.folder.join(name))?;
        }
        hands.prune(0, &Keep::default())?;
        drop((lock, hidden));
        // It stays where something else is in it.
        let _ = hands.disk.remove_folder(&hands.folder);
        Ok(())
    }

    /// Writes the files and the manifest, which makes them the current generation.
    fn stage<B: AsRef<[u8]>>(&self, generation: u64, files: &[(&str, B)], keep: &Keep) -> Result<Manifest> {
        let hands = &self.hands;
        let mut sums = BTreeMap::new();
        for (name, bytes) in files {
            let (path, bytes) = (staged(&hands.folder, name, generation), bytes.as_ref());
            hands.write(&path, name, bytes)?;
            let sum = Sum::of(bytes).map_err(|error| failed("save", &path, "cannot be summed", error))?;
            sums.insert((*name).to_owned(), sum);
        }
        hands.sync()?;
        if let Some(current) = &self.current {
            hands.archive(current, keep)?;
        }
        let manifest = Manifest::new(generation, sums);
        let path = staged(&hands.folder, NAME, generation);
        hands.write(&path, NAME, &manifest.encode()?)?;
        hands.rename(&path, NAME)?;
        Ok(manifest)
    }

    /// Gives a new folder its name.
    fn appear(&mut self) -> Result<()> {
        let Some(hidden) = self.hidden.take() else { return Ok(()) };
        let name = hidden.name().to_owned();
        let parent = parent_of(&name);
        let renamed = self.hands.disk.rename(&self.hands.folder, &name);
        if let Err(error) = renamed {
            self.hidden = Some(hidden);
            return Err(failed("save", &name, "this folder cannot be made", error));
        }
        let made = hidden.completed();
        self.lock.moved(&name);
        let mut synced = self.hands.disk.sync_folder(parent);
        for folder in made {
            synced = synced.and_then(|()| self.hands.disk.sync_folder(parent_of(&folder)));
        }
        self.hands.folder = name;
        synced.map_err(|error| failed("save", &self.hands.folder, "cannot be synchronized", error))
    }
}

impl<D: Disk> Hands<D> {
    /// Gives the files of a generation their names.
    fn publish(&self, manifest: &Manifest) -> Result<()> {
        for name in manifest.files.keys() {
            let path = staged(&self.folder, name, manifest.generation);
            if path.exists() {
                self.rename(&path, name)?;
            }
        }
        Ok(())
    }

    /// Where a file of the current generation is.
    pub(crate) fn source(&self, name: &str, generation: u64) -> PathBuf {
        let staged = staged(&self.folder, name, generation);
        if name != NAME && staged.exists() { staged } else { self.folder.join(name) }
    }

    /// Removes what an interrupted writer has left.
    fn sweep(&self) -> Result<()> {
        let unread = |error| failed("save", &self.folder, "cannot be read", error);
        for entry in std::fs::read_dir(&self.folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            if entry.file_name().to_str().is_some_and(is_staged) {
                self.remove(&entry.path())?;
            }
        }
        // What is left there is no generation: another sweep may remove it.
        let _ = self.sweep_archive();
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

    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("save", path, "cannot be removed", error))
            }
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        let synced = self.disk.sync_folder(&self.folder);
        synced.map_err(|error| failed("save", &self.folder, "cannot be synchronized", error))
    }
}
