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
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// More than the files beside the weights take.
const ROOM: usize = 1 << 20;

/// As many times the weights are in a checkpoint, about: with what most optimizers keep. Two are on the disk while the next one is written.
const COPIES: usize = 3 * 3;

/// The checkpoints of a training.
pub(super) struct Folder<'a> {
    path: &'a Path,
    pub(super) checkpoint: Checkpoint<'a>,
    /// Whether a signal has asked for the checkpoint that is being written.
    pub(super) asked: Arc<AtomicBool>,
    is_new: bool,
}

/// What all checkpoints have beside the state of the training.
pub(super) struct Files {
    /// model.json.
    pub(super) description: String,
    /// config.toml.
    pub(super) config: String,
}

impl<'a> Folder<'a> {
    /// The checkpoints that the settings ask for. Nothing is looked at or made yet.
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
            tell(&format!("{}; the training continues, and the next checkpoint tries again", error.message()));
        });
        let asked = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&asked);
        let checkpoint = checkpoint.on_saved(move |status| {
            if told.swap(false, Relaxed) {
                tell(&format!("saved {}: {}", at(status), path.display()));
            }
        });
        Folder { path, checkpoint, asked, is_new: false }
    }

    /// Makes and locks the folder of a new run. Finds out before the work whether the run can be written there: that nothing has the place
    /// of one of its files, that there is room for checkpoints of so many bytes of weights, and that no other run is there (unless `force`).
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
        self.is_new = true;
        self.checkpoint = self.checkpoint.replace(true);
        self.checkpoint.lock().map_err(mine)?;
        self.checkpoint.check(FILES.into_iter().chain([SAMPLES])).map_err(mine)?;
        let folder = self.checkpoint.writes_in();
        expect_room(folder, (COPIES * weights + ROOM) as u64).map_err(|error| {
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
        let status = Resumed::read(self.path).map(|resumed| resumed.status).ok();
        let nothing = self.is_new && trainer.state.step == 0;
        let kept = if nothing {
            // Where nothing was written yet, a run that was to be replaced stays.
            match self.checkpoint.saved().map(|_| self.checkpoint.discard()) {
                Some(Err(error)) => format!("; {}", error.message()),
                _ => String::new(),
            }
        } else if self.checkpoint.has_failed() {
            let last = status.map_or_else(String::new, |status| {
                format!("the last checkpoint is {}; resume it with `kiln train --resume {place}`; ", at(&status))
            });
            let weights = safetensors::encode(&trainer.objective.model().state_dict());
            match weights.and_then(|weights| rescue(&weights)) {
                Ok(path) => format!("; {last}the weights are kept in {}", path.display()),
                Err(error) => format!("; {last}the weights cannot be kept elsewhere: {}", error.message()),
            }
        } else {
            match status {
                Some(status) if status.phase == Phase::Diverged => format!(", saved in {place}"),
                Some(status) => {
                    let once = if error.kind() == ErrorKind::Memory { " once there is more memory" } else { "" };
                    let at = at(&status);
                    format!("; the last checkpoint is {at}; resume it with `kiln train --resume {place}`{once}")
                }
                None => String::new(),
            }
        };
        let message = format!("{}{kept}", error.message());
        Error::new(error.kind(), error.operation(), message).at(error.path()).with_source(error.clone())
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

/// Takes a checkpoint where a signal asks for it. It comes after the checkpoints among the callbacks.
pub(super) struct SaveOnSignal<'a> {
    pub(super) signals: &'a Signals,
    /// That of [`Folder`].
    pub(super) asked: Option<Arc<AtomicBool>>,
    pub(super) requested: bool,
}

impl SaveOnSignal<'_> {
    fn look(&mut self, run: &mut Run<'_>) -> Result<()> {
        if !self.signals.take_save() {
            return Ok(());
        }
        if self.asked.is_some() {
            self.requested = true;
            run.request_checkpoint();
        } else {
            tell("SIGUSR1 asks for a checkpoint: without --out, nothing is saved");
        }
        Ok(())
    }
}

impl Callback for SaveOnSignal<'_> {
    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.look(run)
    }

    /// One that came during the validation.
    fn on_epoch_end(&mut self, run: &mut Run<'_>, _: &EpochRecord) -> Result<()> {
        self.look(run)
    }

    fn on_checkpoint(&mut self, _: &mut Run<'_>, _: &StateDict) -> Result<()> {
        if let Some(asked) = self.asked.as_ref().filter(|_| std::mem::take(&mut self.requested)) {
            // This one is on its way, and those before it have been told.
            asked.store(true, Relaxed);
        }
        Ok(())
    }
}
