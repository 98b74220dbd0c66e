//! The hooks of `Checkpoint`: when a checkpoint is taken, and of what.

use super::saver::{Job, Saver};
use super::{Best, Checkpoint, Phase, Status};
use crate::callbacks::{direction, expect_reported};
use crate::{Callback, EpochRecord, Run};
use kiln_nn::{StateDict, Stateful};
use kiln_store::Keep;
use kiln_tensor::{Error, ErrorKind, Result};

impl Checkpoint<'_> {
    /// Looks whether the checkpoint that is being written is done, or waits for it.
    pub(super) fn collect(&mut self, waits: bool) {
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
        if let (Some(tell), Some(status)) = (&mut self.on_saved, self.writing.take()) {
            tell(&status);
        }
    }

    /// The checkpoint could not be written, or not all that belongs to it.
    fn not_done(&mut self) {
        (self.failed, self.writing) = (true, None);
        self.best.clone_from(&self.best_before);
        if let Some(Saver::Idle(writer)) = &self.saver {
            self.next = writer.next_generation();
        }
    }

    fn is_writing(&self) -> bool {
        self.saver.as_ref().is_some_and(Saver::is_writing)
    }

    /// Asks for a checkpoint that is waited for, where training does not go on.
    fn request_last(&mut self, run: &mut Run<'_>, phase: Phase) {
        self.collect(true);
        (self.phase, self.waits) = (phase, true);
        run.request_checkpoint();
    }

    /// Whether an epoch is the best one so far, which is then noted.
    fn is_best(&mut self, record: &EpochRecord) -> bool {
        let Some(monitor) = self.monitor.clone() else { return false };
        let Some(value) = record.value(&monitor).filter(|value| !value.is_nan()) else { return false };
        let better = self.best.as_ref().is_none_or(|best| match self.larger_is_better {
            Some(true) => value > best.value,
            _ => value < best.value,
        });
        if better {
            // The number of the next generation is known once the one that is being written is there.
            self.collect(true);
            self.best = Some(Best { monitor, value, epoch: record.epoch as u64, generation: self.next });
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
        if self.saved.is_none() {
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
        let resumed = run.state.resumed.clone().filter(|generation| self.has(generation));
        match (&self.saver, resumed) {
            (None, Some(generation)) => self.lock_at(&generation)?,
            (None, None) => self.lock()?,
            (Some(_), _) => {}
        }
        if !self.best.as_ref().is_some_and(|best| self.keeps(best.generation)) {
            (self.best, self.best_before) = (None, None);
        }
        if self.resumed.is_none() && !self.is_replacing() {
            self.request_last(run, Phase::Training);
        }
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.collect(false);
        if self.clock.due(run.state.step) && !self.is_writing() {
            run.request_checkpoint();
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        let completed = run.state.epoch == record.epoch as u64;
        let ended = run.state.epoch >= run.epochs() as u64;
        if completed && self.is_best(record) {
            run.request_checkpoint();
        }
        if run.is_stopping() && !ended && !(completed && run.ended) {
            self.request_last(run, Phase::Stopped);
        } else if completed && self.clock.due_after_epoch(run.state.step) && !self.is_writing() {
            self.collect(false);
            run.request_checkpoint();
        }
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.phase == Phase::Training {
            let left = run.is_interrupted() && !run.ended && run.state.epoch < run.epochs() as u64;
            self.request_last(run, if left { Phase::Stopped } else { Phase::Complete });
        }
        Ok(())
    }

    fn on_failure(&mut self, run: &mut Run<'_>, error: &Error) -> Result<()> {
        self.collect(true);
        // A run that was to be replaced stays, where nothing came of this one.
        let nothing = self.is_replacing() && run.state.step == 0;
        if error.kind() == ErrorKind::Diverged && self.saver.is_some() && !nothing {
            self.request_last(run, Phase::Diverged);
        }
        Ok(())
    }

    fn on_checkpoint(&mut self, run: &mut Run<'_>, state: &StateDict) -> Result<()> {
        if run.ended && run.state.batch == 0 && self.phase != Phase::Complete && self.phase != Phase::Diverged {
            // A callback has ended the training with this epoch. A checkpoint that does not say so would let it go on; the last one does.
            (self.phase, self.waits) = (Phase::Training, false);
            return Ok(());
        }
        let waits = std::mem::take(&mut self.waits);
        self.collect(true);
        let mut files = self.files.clone();
        files.extend(run.attached().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
        let (history, status, keep) = (run.state.history.clone(), self.status(run), self.keep());
        self.writing = Some(status.clone());
        let job = Job { state: state.clone(), history, status, files, keep };
        self.clock.begin(run.state.step);
        let Some(saver) = &mut self.saver else { return Ok(()) };
        if !waits {
            saver.start(job);
            return Ok(());
        }
        let written = saver.write(job);
        match &written {
            Ok(generation) => self.done(*generation),
            Err(_) => self.not_done(),
        }
        written.map(drop)
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("Checkpoint", self))
    }
}
