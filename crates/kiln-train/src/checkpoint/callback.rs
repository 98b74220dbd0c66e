//! The hooks of `Checkpoint`: when a checkpoint is taken, and of what.

use super::saver::{Job, Saver};
use super::{Best, Checkpoint, Phase, Status};
use crate::callbacks::{direction, expect_reported};
use crate::{Callback, EpochRecord, Run};
use kiln_nn::{StateDict, Stateful};
use kiln_store::Keep;
use kiln_tensor::{Error, ErrorKind, Result};

impl Checkpoint<'_> {
    /// Takes the result of the checkpoint being written, if it is done or `waits`.
    pub(super) fn collect(&mut self, waits: bool) {
        let Some(saver) = &mut self.saver else { return };
        if !waits && saver.is_writing() {
            return;
        }
        match saver.finish() {
            Some(Ok(generation)) => self.done(generation),
            Some(Err(error)) => {
                self.not_done();
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

    /// The checkpoint could not be written completely.
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

    /// Asks for a checkpoint that is written before `fit` continues.
    fn request_last(&mut self, run: &mut Run<'_>, phase: Phase) {
        self.collect(true);
        (self.phase, self.waits) = (phase, true);
        run.request_checkpoint();
    }

    /// Whether an epoch is the best so far; remembers it if so.
    fn is_best(&mut self, record: &EpochRecord) -> bool {
        let Some(monitor) = self.monitor.clone() else { return false };
        let Some(value) = record.value(&monitor).filter(|value| !value.is_nan()) else { return false };
        let better = self.best.as_ref().is_none_or(|best| match self.larger_is_better {
            Some(true) => value > best.value,
            _ => value < best.value,
        });
        if better {
            // The next generation's number is known once the current write is done.
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
            // Older generations belong to another run.
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
        // The training was resumed from a checkpoint in this folder, or in another one.
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
        let completed = run.has_completed(record);
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
        // Keep the run that was to be replaced if this one made no step.
        let nothing = self.is_replacing() && run.state.step == 0;
        if error.kind() == ErrorKind::Diverged && self.saver.is_some() && !nothing {
            self.request_last(run, Phase::Diverged);
        }
        Ok(())
    }

    fn on_checkpoint(&mut self, run: &mut Run<'_>, state: &StateDict) -> Result<()> {
        if run.ended && run.state.batch == 0 && self.phase != Phase::Complete && self.phase != Phase::Diverged {
            // A callback has ended the training after this epoch. Only the last checkpoint says so: resuming from this one would train on.
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
