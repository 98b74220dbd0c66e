//! Going on from a checkpoint.

use super::files::{decode, status};
use super::{Status, TRAINING};
use crate::{Objective, Trainer};
use kiln_nn::Stateful;
use kiln_optim::Optimizer;
use kiln_store::{Generation, Store};
use kiln_tensor::{Error, ErrorKind, Result};
use std::path::Path;

/// A checkpoint to resume a training from.
#[derive(Debug)]
pub struct Resumed {
    /// How far the training had got.
    pub status: Status,
    /// Its files.
    pub generation: Generation,
    /// What is wrong with newer checkpoints, which were left out, the newest first.
    pub skipped: Vec<Error>,
}

impl Resumed {
    /// The newest whole checkpoint in a folder.
    ///
    /// # Errors
    /// A folder without one; one of a newer version of Kiln.
    pub fn read(folder: impl AsRef<Path>) -> Result<Resumed> {
        let folder = folder.as_ref();
        let wrong = |kind, message: String| Error::new(kind, "resume", format!("{}: {message}", folder.display()));
        if !folder.is_dir() {
            return Err(wrong(ErrorKind::Io, "there is no such folder".to_owned()));
        }
        let latest = Store::new(folder).latest()?;
        if !latest.generation.has(TRAINING) || !latest.generation.has(Status::FILE) {
            let message = "this folder has a model, but no checkpoint of its training".to_owned();
            return Err(wrong(ErrorKind::Format, message));
        }
        Ok(Resumed { status: status(&latest.generation)?, generation: latest.generation, skipped: latest.skipped })
    }
}

impl<O: Objective, P: Optimizer> Trainer<O, P> {
    /// Loads the newest intact checkpoint from a folder written by [`Checkpoint`](crate::Checkpoint). The next [`Trainer::fit`] continues
    /// from there. With the same data, options and callbacks, the results are bit for bit those of an uninterrupted training; the number of
    /// threads and the device may differ. Use [`FitOptions::until_epoch`](crate::FitOptions::until_epoch) to count the epochs that were
    /// already done.
    ///
    /// # Errors
    /// A folder without a checkpoint, of a newer version of Kiln, or of another model, optimizer or schedule, with all names that do not
    /// match. Nothing is changed then.
    pub fn resume(&mut self, folder: impl AsRef<Path>) -> Result<Resumed> {
        let resumed = Resumed::read(folder)?;
        self.resume_from(&resumed)?;
        Ok(resumed)
    }

    /// As [`Trainer::resume`], of a checkpoint that was looked at before.
    ///
    /// # Errors
    /// As [`Trainer::resume`].
    pub fn resume_from(&mut self, resumed: &Resumed) -> Result<()> {
        let state = decode(&resumed.generation)?;
        self.load_state_dict(&state).map_err(|error| {
            let message = format!("{}: {}", resumed.generation.folder().display(), error.message());
            Error::new(error.kind(), "resume", message)
        })?;
        self.state.resumed = Some(resumed.generation.clone());
        Ok(())
    }
}
