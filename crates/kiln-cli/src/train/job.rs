//! A training under way: what it says of itself, and the calls of `fit`.

use super::batches::Batches;
use super::ready::fit_options;
use crate::arguments::TrainOptions;
use crate::goal::Training;
use crate::pictures::{Pictures, Progression};
use crate::report::{Plan as Words, Report, Summary, tell};
use crate::run_folder::PARTIAL_SAMPLES;
use crate::settings::{Data, Plan, Settings, Value};
use kiln::prelude::*;
use kiln::train::Evaluation;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A training, as it was asked for.
pub(super) struct Job<'a> {
    pub(super) options: &'a TrainOptions,
    pub(super) device: &'a Device,
    pub(super) name: String,
    pub(super) data: &'a Data,
    pub(super) plan: &'a Plan,
    pub(super) batches: Batches,
    pub(super) report: Report,
    pub(super) seed: u64,
}

impl Job<'_> {
    /// config.toml: the settings, and where and with what the run was made.
    pub(super) fn config(&self, settings: &Settings, counts: [usize; 3], schedule: Option<String>) -> String {
        let mut run = vec![
            ("data", Value::Text(self.data.place.to_string_lossy().into_owned())),
            ("samples", Value::counts(counts)),
            ("device", Value::Text(self.device.name().to_owned())),
            ("threads", Value::Integer(kiln::threads() as i128)),
            ("kiln", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
        ];
        run.extend(schedule.map(|schedule| ("schedule", Value::Text(schedule))));
        settings.to_toml(&run)
    }

    pub(super) fn begin(&self, parameters: usize) {
        self.report.begin(&Words {
            recipe: &self.name,
            parameters,
            samples: (self.data.train.len(), self.data.test.len(), self.data.called),
            epochs: self.plan.epochs,
            device: self.device.name(),
        });
    }

    pub(super) fn progression(&self, pictures: Pictures, model: &Sequential) -> Result<Progression> {
        let copy = Sequential::from_architecture(&model.architecture(), self.device)?;
        Progression::new(pictures, copy, self.options.out.as_deref().map(|out| out.join(PARTIAL_SAMPLES)))
    }

    /// Trains; gives the epochs that were completed too, of a training that fails as well.
    pub(super) fn fit(
        &self,
        trainer: &mut Training,
        progression: Option<&mut Progression>,
        mut callbacks: Vec<Box<dyn Callback>>,
        stop: &AtomicBool,
    ) -> (Result<History>, History) {
        let mut completed = History::default();
        let validation = self.data.validation.as_deref().unwrap_or(&*self.data.test);
        let mut fit = fit_options(self.plan, &self.batches, self.seed)
            .epochs(self.plan.epochs)
            .validation(validation)
            .stop(stop)
            .on_epoch(|record| {
                self.report.epoch(record, self.plan.epochs);
                completed.epochs.push(record.clone());
            });
        fit = if self.options.json || self.options.quiet {
            fit.quiet()
        } else {
            // The lines of epochs go to stdout.
            fit.progress(ProgressBar::new().unit(self.data.called).epoch_lines(false))
        };
        for callback in &mut callbacks {
            fit = fit.callback(&mut **callback);
        }
        if let Some(progression) = progression {
            fit = fit.callback(progression);
        }
        let fitted = trainer.fit(&*self.data.train, fit);
        (fitted, completed)
    }

    /// Says how it went.
    pub(super) fn finish(&self, trainer: &Training, history: &History, ended: &Ended) -> Result<()> {
        let (out, interrupted) = (self.options.out.as_deref(), ended.interrupted);
        if let Some(out) = out {
            self.report.saved(out, ended.drawn);
        }
        match &history.stopped {
            Some(progress) if interrupted => tell_interrupted(progress, self.plan.epochs, out),
            Some(progress) => self.report.ended_early(progress.epoch, self.plan.epochs),
            None => {}
        }
        let last = history.last().and_then(|record| record.validation.clone());
        let own = self.data.validation.as_deref();
        let [validation, test] = match own {
            _ if interrupted => [own.and(last.clone()), if own.is_some() { None } else { last }],
            // Callbacks may have put other weights in the place of the last epoch's.
            Some(own) if ended.callbacks_run => [Some(self.measured(trainer, own)?), Some(self.tested(trainer)?)],
            Some(_) => [last, Some(self.tested(trainer)?)],
            None if ended.callbacks_run => [None, Some(self.tested(trainer)?)],
            None => [None, last],
        };
        self.report.finish(&Summary {
            validation: validation.as_ref(),
            test: test.as_ref(),
            seconds: history.seconds,
            images: self.batches.seen(history, self.plan.epochs),
            device: self.device.name(),
            seed: self.seed,
            interrupted,
        });
        Ok(())
    }

    fn tested(&self, trainer: &Training) -> Result<Evaluation> {
        self.measured(trainer, &*self.data.test)
    }

    /// What the weights that are kept give.
    fn measured(&self, trainer: &Training, data: &dyn Dataset) -> Result<Evaluation> {
        trainer.evaluate_with(data, EvaluateOptions::new().batch_size(self.batches.batch_size))
    }
}

/// How a training ended.
pub(super) struct Ended {
    pub(super) interrupted: bool,
    /// Whether callbacks of the settings took part.
    pub(super) callbacks_run: bool,
    /// Whether pictures were drawn.
    pub(super) drawn: bool,
}

fn tell_interrupted(progress: &Progress, epochs: usize, out: Option<&Path>) {
    let Progress { epoch, batch, batches, .. } = progress;
    let saved = match out {
        Some(out) => format!("the model of that moment is saved in {}", out.display()),
        None => "without --out, nothing is saved".to_owned(),
    };
    tell(&format!("interrupted in epoch {epoch} of {epochs}, after batch {batch} of {batches}: {saved}"));
}
