//! The folder of a run that is being trained: its checkpoints.

use crate::goal::Training;
use crate::report::tell;
use crate::run_folder::{CONFIG, FILES, SAMPLES, has_run, rescue};
use crate::settings::Plan;
use crate::signals::Signals;
use kiln::ErrorKind;
use kiln::nn::{StateDict, safetensors};
use kiln::prelude::*;
use kiln::store::expect_room;
use kiln::train::{Checkpoint, Phase, Resumed, Status};
use kiln::trained::MODEL;
use std::path::Path;

/// More than the files beside the weights take.
const ROOM: usize = 1 << 20;

/// The checkpoints of a training.
pub(super) struct Folder<'a> {
    path: &'a Path,
    pub(super) checkpoint: Checkpoint<'a>,
}

/// What all checkpoints have beside the state of the training.
pub(super) struct Files {
    /// model.json.
    pub(super) description: String,
    /// config.toml.
    pub(super) config: String,
}

impl<'a> Folder<'a> {
    /// The folder of a new run, made and locked, or of one that goes on. Finds out before the work whether the run can be written there:
    /// that nothing has the place of one of its files, that there is room for so many bytes of weights, and that no other run is there
    /// (unless `force`).
    pub(super) fn open(path: &'a Path, plan: &Plan, files: Files) -> Folder<'a> {
        let mut checkpoint = Checkpoint::new(path).keep_last(plan.keep_last);
        if let Some(every) = plan.checkpoint_every {
            checkpoint = checkpoint.every(every);
        }
        if let Some(monitor) = &plan.keep_best {
            checkpoint = checkpoint.keep_best(monitor);
        }
        let checkpoint = checkpoint.file(MODEL, files.description).file(CONFIG, files.config);
        let checkpoint = checkpoint.on_failure(move |error| {
            tell(&format!("{}; the checkpoint before it stays, and the training goes on", error.message()));
        });
        Folder { path, checkpoint }
    }

    /// Makes and locks the folder of a new run.
    pub(super) fn make(mut self, weights: usize, force: bool) -> Result<Self> {
        let path = self.path;
        let wrong = |message: String| Error::new(ErrorKind::Io, "", format!("--out {}: {message}", path.display()));
        let own = format!("{}: ", path.display());
        let mine = |error: Error| {
            let message = error.message();
            wrong(message.strip_prefix(&own).unwrap_or(message).to_owned())
        };
        if !force && has_run(path)? {
            return Err(wrong(
                "this folder has a run; --resume goes on with it, --force replaces it, or choose another folder"
                    .to_owned(),
            ));
        }
        self.checkpoint = self.checkpoint.replace(true);
        self.checkpoint.lock().map_err(mine)?;
        self.checkpoint.check(FILES.into_iter().chain([SAMPLES])).map_err(mine)?;
        let folder = self.checkpoint.writes_in();
        expect_room(folder, (weights + ROOM) as u64).map_err(|error| {
            // The folder may have a hidden name until its first checkpoint is complete.
            let hidden = format!("{}: ", folder.display());
            let message = error.message();
            wrong(message.strip_prefix(&hidden).unwrap_or(message).to_owned()).with_source(error.clone())
        })?;
        Ok(self)
    }

    /// Locks the folder of a run that goes on.
    pub(super) fn resume(mut self, resumed: &Resumed) -> Result<Self> {
        self.checkpoint.lock_at(&resumed.generation)?;
        Ok(self)
    }

    /// A failure of the training, with what is kept of it and how to go on. Of a new one in which no step was made nothing is kept.
    pub(super) fn failure(self, error: &Error, trainer: &Training) -> Error {
        let place = self.path.display();
        let status = || Resumed::read(self.path).map(|resumed| resumed.status).ok();
        let model = trainer.objective.model();
        let kept = match self.checkpoint.saved() {
            None => String::new(),
            Some(_) if trainer.state.step == 0 => match self.checkpoint.discard() {
                Ok(()) => String::new(),
                Err(error) => format!("; {}", error.message()),
            },
            Some(_) if self.checkpoint.has_failed() => {
                let last = status().map_or_else(String::new, |status| {
                    format!("the last checkpoint is {}: kiln train --resume {place} goes on from there; ", at(&status))
                });
                match safetensors::encode(&model.state_dict()).and_then(|weights| rescue(&weights)) {
                    Ok(path) => format!("; {last}the weights are kept in {}", path.display()),
                    Err(error) => format!("; {last}the weights cannot be kept elsewhere: {}", error.message()),
                }
            }
            Some(_) => match status() {
                Some(status) if status.phase == Phase::Diverged => format!(", saved in {place}"),
                Some(status) => {
                    let once = if error.kind() == ErrorKind::Memory { " once there is more memory" } else { "" };
                    let at = at(&status);
                    format!("; the last checkpoint is {at}: kiln train --resume {place} goes on from there{once}")
                }
                None => String::new(),
            },
        };
        Error::new(error.kind(), error.operation(), format!("{}{kept}", error.message())).with_source(error.clone())
    }
}

/// Where a training was.
pub(super) fn at(status: &Status) -> String {
    let Status { epoch, epochs, batch, batches, .. } = status;
    match (epoch, batch) {
        (0, 0) => "before the first batch".to_owned(),
        (_, 0) => format!("after epoch {epoch} of {epochs}"),
        _ => format!("in epoch {} of {epochs}, after batch {batch} of {batches}", epoch + 1),
    }
}

/// Takes a checkpoint where a signal asks for it.
pub(super) struct SaveOnSignal<'a> {
    pub(super) signals: &'a Signals,
    pub(super) folder: Option<&'a Path>,
    pub(super) asked: bool,
}

impl Callback for SaveOnSignal<'_> {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if !self.signals.take_save() {
            return Ok(());
        }
        if self.folder.is_some() {
            self.asked = true;
            run.request_checkpoint();
        } else {
            tell("SIGUSR1 asks for a checkpoint: without --out, nothing is saved");
        }
        Ok(())
    }

    fn on_checkpoint(&mut self, run: &mut Run<'_>, _: &StateDict) -> Result<()> {
        if let Some(folder) = self.folder.filter(|_| std::mem::take(&mut self.asked)) {
            let progress = run.progress();
            tell(&format!(
                "saved in epoch {} of {}, after batch {} of {}: {}",
                progress.epoch,
                run.epochs(),
                progress.batch,
                progress.batches,
                folder.display()
            ));
        }
        Ok(())
    }
}
