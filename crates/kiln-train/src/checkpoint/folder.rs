//! The folder that checkpoints are written in.

use super::Checkpoint;
use super::saver::Saver;
use kiln_store::{CHECKPOINTS, Generation, Store};
use kiln_tensor::{Error, ErrorKind, Result};
use std::path::Path;

impl Checkpoint<'_> {
    /// Creates and locks the folder. `fit` does this itself; call it earlier to find out before long work whether the folder is writable.
    ///
    /// # Errors
    /// A process that writes there, by its id; a folder that has a run, unless it is to be [replaced](Checkpoint::replace); one that cannot
    /// be made.
    pub fn lock(&mut self) -> Result<()> {
        let store = Store::new(&self.folder);
        if !self.replaces && self.folder.is_dir() && store.current()?.is_some() {
            let message = format!(
                "{}: this folder has a run: resume it, replace it (`Checkpoint::replace`), or choose another folder",
                self.folder.display()
            );
            return Err(Error::new(ErrorKind::Io, "checkpoint", message));
        }
        let writer = if self.replaces { store.replace()? } else { store.create()? };
        self.replacing = writer.generation() > 0;
        self.take(Saver::Idle(writer))
    }

    /// As [`Checkpoint::lock`], to resume from a checkpoint in the folder.
    ///
    /// # Errors
    /// A process that writes there, by its id; one that has written there since; a folder that cannot be written.
    pub fn lock_at(&mut self, generation: &Generation) -> Result<()> {
        let writer = Store::new(&self.folder).lock_at(generation)?;
        (self.resumed, self.saved) = (Some(generation.number()), Some(generation.number()));
        self.take(Saver::Idle(writer))
    }

    /// Removes all checkpoints, and the folder if nothing else is in it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn discard(mut self) -> Result<()> {
        self.collect(true);
        match self.saver {
            Some(Saver::Idle(writer)) => writer.discard(),
            _ => Ok(()),
        }
    }

    /// Whether files of these names can be written, in a folder that was [locked](Checkpoint::lock).
    ///
    /// # Errors
    /// A name that is not one of a file, or that a folder has.
    pub fn check<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        match &self.saver {
            Some(Saver::Idle(writer)) => writer.check(names),
            _ => Ok(()),
        }
    }

    /// Where the files are: under a hidden name before the first checkpoint in a new folder.
    pub fn writes_in(&self) -> &Path {
        match &self.saver {
            Some(Saver::Idle(writer)) => writer.folder(),
            _ => &self.folder,
        }
    }

    /// Whether the last checkpoint that was tried could not be written.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn take(&mut self, saver: Saver) -> Result<()> {
        if let Saver::Idle(writer) = &saver {
            writer.check(self.files.iter().map(|(name, _)| name.as_str()))?;
            self.next = writer.next_generation();
        }
        self.saver = Some(saver);
        Ok(())
    }

    /// Whether a generation lies in this checkpoint's folder.
    pub(super) fn has(&self, generation: &Generation) -> bool {
        let (own, other) = (self.folder.canonicalize(), generation.folder().canonicalize());
        own.ok().zip(other.ok()).is_some_and(|(own, other)| {
            other == own || other.parent().is_some_and(|parent| parent == own.join(CHECKPOINTS))
        })
    }

    /// Whether the first checkpoint is still to replace a run.
    pub(super) fn is_replacing(&self) -> bool {
        self.replacing && self.saved.is_none()
    }

    /// Whether the generation with this number still exists.
    pub(super) fn keeps(&self, generation: u64) -> bool {
        self.saved == Some(generation) || self.folder.join(CHECKPOINTS).join(generation.to_string()).is_dir()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
