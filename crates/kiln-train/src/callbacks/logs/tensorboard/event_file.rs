//! An event file, and the folder that it is in.

use super::super::LogFile;
use super::values;
use super::wire::{Message, record, whole_records};
use kiln_nn::StateDict;
use kiln_tensor::{Error, ErrorKind, Result};
use std::fs;
use std::io;
use std::path::Path;

/// The file's name in its folder. TensorBoard looks for `tfevents` in it. It is always the same, so that a resumed training finds it.
const NAME: &str = "events.out.tfevents.kiln";

#[derive(Debug)]
pub(super) struct EventFile(LogFile);

impl EventFile {
    /// The event file of a folder.
    pub(super) fn new(folder: &Path) -> EventFile {
        EventFile(LogFile::new("TensorBoard", folder.join(NAME), whole_records))
    }

    /// Makes the file, or goes on with it. Returns whether it was made.
    ///
    /// # Errors
    /// Other event files in its folder: TensorBoard would show them as one with this one.
    pub(super) fn begin(&mut self) -> Result<bool> {
        if self.0.is_empty() {
            self.refuse_others()?;
        }
        self.0.open()?;
        let new = self.0.is_empty();
        if new {
            self.0.write(&record(values::version().encoded()))?;
        }
        Ok(new)
    }

    /// Writes values of a step.
    pub(super) fn write(&mut self, step: u64, values: &[Message]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.0.write(&record(values::event(step, values).encoded()))
    }

    /// Removes the file of an earlier training, where this one has not begun its own.
    pub(super) fn clear(&self) -> Result<()> {
        if !self.0.is_empty() {
            return Ok(());
        }
        match fs::remove_file(self.0.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("{}: the old log cannot be removed: {error}", self.0.path().display());
                Err(Error::new(ErrorKind::Io, "TensorBoard", message).with_source(error))
            }
            _ => Ok(()),
        }
    }

    fn refuse_others(&self) -> Result<()> {
        let folder = self.0.path().parent().unwrap_or(Path::new("."));
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let Some(other) = names.into_iter().find(|name| name != NAME && name.contains("tfevents")) else {
            return Ok(());
        };
        let message = format!(
            "{}: the folder has events of another program, {other}, which TensorBoard would mix with those of this training: name \
             another folder, or remove them",
            folder.display()
        );
        Err(Error::value("TensorBoard", message))
    }

    pub(super) fn save(&self, name: &str, state: &mut StateDict) -> Result<()> {
        self.0.save(name, state)
    }

    pub(super) fn load(&mut self, name: &str, state: &StateDict) -> Result<()> {
        self.0.load(name, state)
    }
}
