//! Older generations that are kept, each in a folder of its own.

use crate::manifest::{Manifest, NAME};
use crate::writer::Hands;
use crate::{Disk, failed};
use kiln_tensor::Result;
use std::path::{Path, PathBuf};

/// The folder of the older generations within a store's folder. Each is a folder with the number of its generation for a name, and a
/// store itself.
pub const CHECKPOINTS: &str = "checkpoints";

/// Which older generations a commit keeps.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Keep {
    /// The newest so many before the one that is written.
    pub last: usize,
    /// These too, as long as they are there.
    pub also: Vec<u64>,
}

impl Keep {
    /// The newest so many before the one that is written.
    pub fn last(last: usize) -> Keep {
        Keep { last, also: Vec::new() }
    }

    fn is_nothing(&self) -> bool {
        self.last == 0 && self.also.is_empty()
    }

    /// Whether a generation stays that is followed by so many, besides the current one.
    fn keeps(&self, number: u64, followers: usize) -> bool {
        followers < self.last || self.also.contains(&number)
    }
}

/// Where a generation is kept.
pub(crate) fn place(folder: &Path, generation: u64) -> PathBuf {
    folder.join(CHECKPOINTS).join(generation.to_string())
}

/// The numbers of the generations that are kept in a folder, the newest first; of those that a crash has left half removed too.
pub(crate) fn numbers(folder: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder.join(CHECKPOINTS)).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers
}

impl<D: Disk> Hands<D> {
    /// Keeps the files of the current generation under second names. They are complete before the folder gets its name.
    pub(crate) fn archive(&self, current: &Manifest, keep: &Keep) -> Result<()> {
        let kept = place(&self.folder, current.generation);
        if keep.is_nothing() || kept.exists() {
            return Ok(());
        }
        let all = self.folder.join(CHECKPOINTS);
        let new = all.join(format!(".{}", current.generation));
        let unwritten = |error| failed("save", &kept, "cannot be written", error);
        self.remove_all(&new)?;
        self.disk.make_folder(&all).and_then(|()| self.disk.make_folder(&new)).map_err(unwritten)?;
        for name in current.files.keys().map(String::as_str).chain([NAME]) {
            let from = self.source(name, current.generation);
            // What somebody has removed is missed where the generation is read.
            if from.exists() {
                self.disk.link(&from, &new.join(name)).map_err(unwritten)?;
            }
        }
        let named = self.disk.sync_folder(&new).and_then(|()| self.disk.rename(&new, &kept));
        named.and_then(|()| self.disk.sync_folder(&all)).map_err(unwritten)
    }

    /// Removes the generations that are not kept.
    pub(crate) fn prune(&self, current: u64, keep: &Keep) -> Result<()> {
        let older = numbers(&self.folder).into_iter().filter(|number| *number != current);
        for (followers, number) in older.enumerate() {
            if !keep.keeps(number, followers) {
                self.remove_all(&place(&self.folder, number))?;
            }
        }
        let all = self.folder.join(CHECKPOINTS);
        if keep.is_nothing() && all.exists() {
            // It stays where something else is in it.
            let _ = self.disk.remove_folder(&all);
        }
        Ok(())
    }

    /// Removes what a crash has left of generations that were being kept or removed.
    pub(crate) fn sweep_archive(&self) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(self.folder.join(CHECKPOINTS)) else { return Ok(()) };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let number = name.to_str().map(|name| name.strip_prefix('.').unwrap_or(name)).map(str::parse::<u64>);
            let complete = !name.as_encoded_bytes().starts_with(b".") && path.join(NAME).exists();
            if matches!(number, Some(Ok(_))) && !complete {
                self.remove_all(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a folder with all that is in it, the manifest first: without it, it is no generation.
    pub(crate) fn remove_all(&self, folder: &Path) -> Result<()> {
        if !folder.exists() {
            return Ok(());
        }
        let unread = |error| failed("save", folder, "cannot be read", error);
        self.remove(&folder.join(NAME))?;
        for entry in std::fs::read_dir(folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.remove_all(&entry.path())?,
                _ => self.remove(&entry.path())?,
            }
        }
        self.disk.remove_folder(folder).map_err(|error| failed("save", folder, "cannot be removed", error))
    }
}
