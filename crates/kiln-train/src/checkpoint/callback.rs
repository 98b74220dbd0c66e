//! `Checkpoint`: the callback that writes checkpoints.

use super::every::Clock;
use super::saver::{Job, Saver};
use super::{Best, Every, Phase, Status};
use crate::callbacks::{direction, expect_reported, foreign};
use crate::{Callback, EpochRecord, Run};
use kiln_nn::{StateDict, Stateful};
use kiln_store::{CHECKPOINTS, Generation, Keep, Store};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use std::path::{Path, PathBuf};

/// What is called with a checkpoint that could not be written while the training goes on.
type OnFailure<'a> = Box<dyn FnMut(&Error) + Send + 'a>;

/// Writes all that a training needs to go on into a folder, again and again: weights, optimizer, counters, what callbacks remember, the
/// position in the data and the metrics so far. A training that is killed at any instant goes on from the last checkpoint with the same bits
/// ([`Trainer::resume`](crate::Trainer::resume)).
///
/// A checkpoint is taken before the first batch, after each epoch (at most one a second), every 60 seconds, and at the end; a folder that is
/// new is not seen before the first one is complete. Files are written by a thread beside the training. They are
/// `model.safetensors`, `training.safetensors`, `history.csv` and `progress.json`, and change together ([`kiln_store`]): the last
/// checkpoints are kept, those before the newest in `checkpoints/NUMBER`, so that one that was damaged can be done without.
///
/// Where a checkpoint cannot be written, the one before stays and the training goes on; the next one is tried at its time
/// ([`on_failure`](Checkpoint::on_failure)). The last one is an error of `fit`.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Adam;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, compile};
/// use kiln_train::{Checkpoint, Every};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let (cpu, parent) = (Device::cpu(), tempfile::tempdir().unwrap());
/// # let folder = parent.path().join("run");
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # for _ in 0..2 {
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// // This program can be killed and started again.
/// let mut trainer = compile(model, Adam::new(0.1), MeanSquaredError::new());
/// if folder.exists() {
///     trainer.resume(&folder)?;
/// }
/// let checkpoint = Checkpoint::new(&folder).every(Every::Steps(100)).keep_best("val_loss");
/// trainer.fit(&data, FitOptions::new().until_epoch(5).validation_split(0.2).callback(checkpoint))?;
/// # assert_eq!(trainer.state.epoch, 5);
/// # }
/// # Ok(())
/// # }
/// ```
#[doc(alias = "ModelCheckpoint")]
#[doc(alias = "BackupAndRestore")]
pub struct Checkpoint<'a> {
    folder: PathBuf,
    clock: Clock,
    keep_last: usize,
    monitor: Option<String>,
    larger_is_better: Option<bool>,
    replaces: bool,
    files: Vec<(String, Vec<u8>)>,
    on_failure: Option<OnFailure<'a>>,
    saver: Option<Saver>,
    /// Whether the last one that was tried could not be written.
    failed: bool,
    /// The number of the next generation.
    next: u64,
    best: Option<Best>,
    /// The best one before that which is being written.
    best_before: Option<Best>,
    /// The generation that the training goes on from.
    resumed: Option<u64>,
    /// The generation that was written last.
    saved: Option<u64>,
    phase: Phase,
    /// Whether the next checkpoint is waited for.
    waits: bool,
}

impl<'a> Checkpoint<'a> {
    /// Checkpoints in a folder, which need not be there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Checkpoint {
            folder: folder.into(),
            clock: Clock::default(),
            keep_last: 2,
            monitor: None,
            larger_is_better: None,
            replaces: false,
            files: Vec::new(),
            on_failure: None,
            saver: None,
            failed: false,
            next: 1,
            best: None,
            best_before: None,
            resumed: None,
            saved: None,
            phase: Phase::Training,
            waits: false,
        }
    }

    /// Takes checkpoints at these times only, and at the beginning and the end, instead of after each epoch and every 60 seconds.
    #[must_use]
    pub fn every(self, every: Every) -> Self {
        Checkpoint { clock: Clock::only(every), ..self }
    }

    /// Keeps the last so many checkpoints; 2 by default, of which one is there if the other is damaged. At least 1.
    #[must_use]
    pub fn keep_last(self, checkpoints: usize) -> Self {
        Checkpoint { keep_last: checkpoints, ..self }
    }

    /// Takes a checkpoint after each epoch with the best value so far of a number that epochs report (`val_loss`, `val_accuracy`), and keeps
    /// the best one beside the last ones: `checkpoints/NUMBER`, by the number that `progress.json` says ([`Checkpoint::best`]).
    #[doc(alias = "save_best_only")]
    #[must_use]
    pub fn keep_best(self, monitor: &str) -> Self {
        Checkpoint { monitor: Some(monitor.to_owned()), ..self }
    }

    /// Whether larger is better (`mode="max"`). It is known of losses and of Kiln's metrics; set it for other metrics.
    #[must_use]
    pub fn larger_is_better(self, larger: bool) -> Self {
        Checkpoint { larger_is_better: Some(larger), ..self }
    }

    /// Replaces the run that is in the folder, if there is one; without it, that is an error.
    #[must_use]
    pub fn replace(self, replaces: bool) -> Self {
        Checkpoint { replaces, ..self }
    }

    /// Puts a further file into each checkpoint.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), bytes.into()));
        self
    }

    /// Calls a closure with the error of a checkpoint that could not be written while the training goes on.
    #[must_use]
    pub fn on_failure(self, f: impl FnMut(&Error) + Send + 'a) -> Self {
        Checkpoint { on_failure: Some(Box::new(f)), ..self }
    }

    /// The best checkpoint so far, with [`keep_best`](Checkpoint::keep_best).
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// The generation that was written last.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    /// Makes and locks the folder, which `fit` else does: to find out before long work whether it can be written.
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
        self.take(Saver::Idle(store.create()?))
    }

    /// As [`Checkpoint::lock`], to go on from a checkpoint in the folder.
    ///
    /// # Errors
    /// A process that writes there, by its id; one that has written there since; a folder that cannot be written.
    pub fn lock_at(&mut self, generation: &Generation) -> Result<()> {
        let store = Store::new(&self.folder);
        let writer = store.lock_at(generation)?;
        if store.latest()?.generation.number() != generation.number() {
            let message = format!(
                "{}: the newest checkpoint is not the one that this training goes on from: resume it again",
                self.folder.display()
            );
            return Err(Error::new(ErrorKind::Io, "checkpoint", message));
        }
        self.resumed = Some(generation.number());
        self.take(Saver::Idle(writer))
    }

    /// Removes all checkpoints, and the folder where nothing else is in it: of a training that came to nothing.
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

    /// Whether a generation is in the folder.
    fn has(&self, generation: &Generation) -> bool {
        let (own, other) = (self.folder.canonicalize(), generation.folder().canonicalize());
        own.ok().zip(other.ok()).is_some_and(|(own, other)| {
            other == own || other.parent().is_some_and(|parent| parent == own.join(CHECKPOINTS))
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks whether the checkpoint that is being written is done, or waits for it.
    fn collect(&mut self, waits: bool) {
        let Some(saver) = &mut self.saver else { return };
        if !waits && saver.is_writing() {
            return;
        }
        match saver.finish() {
            Some(Ok(generation)) => self.done(generation),
            Some(Err(error)) => {
                self.failed = true;
                if let Saver::Idle(writer) = saver {
                    self.next = writer.next_generation();
                }
                self.best = self.best_before.clone();
                if let Some(tell) = &mut self.on_failure {
                    tell(&error);
                }
            }
            None => {}
        }
    }

    fn done(&mut self, generation: u64) {
        (self.saved, self.next, self.failed) = (Some(generation), generation + 1, false);
        self.best_before.clone_from(&self.best);
    }

    fn is_writing(&self) -> bool {
        self.saver.as_ref().is_some_and(Saver::is_writing)
    }

    /// Asks for a checkpoint that is waited for, where training does not go on.
    fn last(&mut self, run: &mut Run<'_>, phase: Phase) {
        self.collect(true);
        (self.phase, self.waits) = (phase, true);
        run.request_checkpoint();
    }

    /// Whether an epoch is the best one so far, which is then noted.
    fn is_best(&mut self, record: &EpochRecord) -> bool {
        let Some(monitor) = &self.monitor else { return false };
        let Some(value) = record.value(monitor).filter(|value| !value.is_nan()) else { return false };
        let better = self.best.as_ref().is_none_or(|best| match self.larger_is_better {
            Some(true) => value > best.value,
            _ => value < best.value,
        });
        if better {
            let (monitor, epoch) = (monitor.clone(), record.epoch as u64);
            self.best = Some(Best { monitor, value, epoch, generation: self.next });
        }
        better
    }

    fn status(&self, run: &Run<'_>) -> Status {
        let state = &*run.state;
        Status {
            epoch: state.epoch,
            epochs: run.epochs() as u64,
            batch: state.batch,
            batches: run.progress().batches as u64,
            step: state.step,
            seconds: state.history.iter().map(|record| record.seconds).sum::<f64>() + state.seconds,
            best: self.best.clone(),
            ..Status::new(self.phase)
        }
    }

    fn keep(&self) -> Keep {
        if self.saved.is_none() && self.resumed.is_none() {
            // What was there before is of another training.
            return Keep::default();
        }
        Keep { last: self.keep_last - 1, also: self.best.iter().map(|best| best.generation).collect() }
    }
}

impl Callback for Checkpoint<'_> {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.keep_last == 0 {
            return Err(Error::value("Checkpoint", "keep_last(0): at least 1 is needed"));
        }
        if let Some(monitor) = &self.monitor {
            expect_reported("Checkpoint", monitor, run)?;
            self.larger_is_better = Some(direction("Checkpoint", monitor, self.larger_is_better, run)?);
        }
        self.phase = Phase::Training;
        self.clock.begin(run.state.step);
        // The training goes on from a checkpoint in this folder, or in another one.
        let resumed = run.state.resumed.take().filter(|generation| self.has(generation));
        match (&self.saver, resumed) {
            (None, Some(generation)) => self.lock_at(&generation)?,
            (None, None) => self.lock()?,
            (Some(_), _) => {}
        }
        if self.resumed.is_none() {
            self.last(run, Phase::Training);
        }
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.clock.due(run.state.step) && !self.is_writing() {
            self.collect(false);
            run.request_checkpoint();
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        let completed = run.state.epoch == record.epoch as u64;
        let ended = run.state.epoch >= run.epochs() as u64;
        if completed && self.monitor.is_some() {
            self.collect(true);
            if self.is_best(record) {
                run.request_checkpoint();
            }
        }
        if run.is_stopping() && !ended && (run.is_interrupted() || !completed) {
            self.last(run, Phase::Stopped);
        } else if completed && self.clock.due_after_epoch(run.state.step) && !self.is_writing() {
            self.collect(false);
            run.request_checkpoint();
        }
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.phase == Phase::Training {
            let left = run.is_interrupted() && run.state.epoch < run.epochs() as u64;
            self.last(run, if left { Phase::Stopped } else { Phase::Complete });
        }
        Ok(())
    }

    fn on_failure(&mut self, run: &mut Run<'_>, error: &Error) -> Result<()> {
        self.collect(true);
        if error.kind() == ErrorKind::Diverged && self.saver.is_some() {
            self.last(run, Phase::Diverged);
        }
        Ok(())
    }

    fn on_checkpoint(&mut self, run: &mut Run<'_>, state: &StateDict) -> Result<()> {
        let waits = std::mem::take(&mut self.waits);
        self.collect(true);
        let mut files = self.files.clone();
        files.extend(run.attached().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
        let (history, status, keep) = (run.state.history.clone(), self.status(run), self.keep());
        let job = Job { state: state.clone(), history, status, files, keep };
        self.clock.begin(run.state.step);
        let Some(saver) = &mut self.saver else { return Ok(()) };
        if !waits {
            return saver.start(job);
        }
        self.failed = true;
        let generation = saver.write(job)?;
        self.done(generation);
        Ok(())
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("Checkpoint", self))
    }
}

impl Stateful for Checkpoint<'_> {
    /// Once there is one, `best`, `best_epoch` and `best_generation`.
    fn state_dict(&self) -> Result<StateDict> {
        let cpu = Device::cpu();
        let mut state = StateDict::new();
        if let Some(Best { value, epoch, generation, .. }) = &self.best {
            state.insert("best".to_owned(), Tensor::scalar(*value, &cpu)?);
            state.insert("best_epoch".to_owned(), Tensor::scalar(*epoch as i64, &cpu)?);
            state.insert("best_generation".to_owned(), Tensor::scalar(*generation as i64, &cpu)?);
        }
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        const NAMES: [&str; 3] = ["best", "best_epoch", "best_generation"];
        let foreign = |why| foreign("checkpoint.load_state_dict", "Checkpoint", why);
        if let Some(name) = state.keys().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(foreign(format!("`{name}` does not belong here")));
        }
        let number = |name: &str| match state.get(name) {
            Some(value) => value.item(),
            None => Err(foreign(format!("`{name}` is missing"))),
        };
        let [value, epoch, generation] = NAMES.map(number);
        let monitor = self.monitor.clone().unwrap_or_default();
        let best = Best { monitor, value: value?, epoch: epoch? as u64, generation: generation? as u64 };
        // Of a training that kept its best, which this one does not.
        self.best = self.monitor.is_some().then_some(best);
        self.best_before.clone_from(&self.best);
        Ok(())
    }
}
