//! A training under way: what it says of itself, and the calls of `fit`.

use super::batches::Batches;
use super::curves::Curves;
use super::folder::{Folder, SaveOnSignal, at};
use super::ready::fit_options;
use crate::arguments::TrainOptions;
use crate::goal::Training;
use crate::pictures::{Pictures, Progression};
use crate::report::{Plan as Words, Report, Summary, tell};
use crate::settings::{Data, Plan, Settings, Value};
use crate::signals::Signals;
use kiln::nn::full_precision_layers;
use kiln::prelude::*;
use kiln::tensor::cpu_multiplies_bf16;
use kiln::train::{Evaluation, Status};
use std::path::Path;
use std::sync::Arc;

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
    /// The run's folder.
    pub(super) path: Option<&'a Path>,
}

/// What is drawn of a training.
pub(super) struct Drawn {
    progression: Option<Progression>,
    curves: Option<Curves>,
}

impl Drawn {
    /// Fails where something could not be drawn.
    pub(super) fn expect_all(&mut self, path: Option<&Path>) -> Result<()> {
        let progression = self.progression.as_mut().and_then(Progression::take_error);
        let Some(error) = progression.or_else(|| self.curves.as_mut().and_then(Curves::take_error)) else {
            return Ok(());
        };
        let place = path.map(|path| format!("; the rest of the run is saved in {}", path.display()));
        let message = format!("{}{}", error.message(), place.unwrap_or_default());
        Err(Error::new(error.kind(), error.operation(), message))
    }

    /// Whether pictures are drawn that the model makes.
    pub(super) fn has_pictures(&self) -> bool {
        self.progression.is_some()
    }
}

impl Job<'_> {
    /// config.toml: the settings, and where and with what the run was made.
    pub(super) fn config(
        &self,
        settings: &Settings,
        counts: [usize; 3],
        schedule: Option<String>,
        data: Option<&Path>,
    ) -> String {
        let mut run = vec![
            ("data", Value::Text(self.data.place.to_string_lossy().into_owned())),
            ("samples", Value::counts(counts)),
            ("device", Value::Text(self.device.name().to_owned())),
            ("threads", Value::Integer(kiln::threads() as i128)),
            ("kiln", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
        ];
        run.extend(schedule.map(|schedule| ("schedule", Value::Text(schedule))));
        let folder = data.filter(|_| !settings.has_path()).and_then(|data| std::path::absolute(data).ok());
        run.extend(folder.map(|folder| ("data_folder", Value::Text(folder.to_string_lossy().into_owned()))));
        settings.to_toml(&run)
    }

    pub(super) fn begin(&self, model: &Sequential, resumed: Option<&Status>) {
        self.report.begin(&Words {
            recipe: &self.name,
            parameters: model.parameter_count(),
            samples: (self.data.train.len(), self.data.test.len(), self.data.called),
            epochs: self.plan.epochs,
            device: self.device.name(),
            precision: self.plan.precision.map(|mixed| (mixed.dtype().name(), self.precision_notes(mixed, model))),
            resumed: resumed.map(at),
        });
    }

    /// Where a half type saves no time, and the layers that compute in f32.
    fn precision_notes(&self, mixed: Mixed, model: &Sequential) -> Vec<String> {
        let converted = self.device.name() == "cpu" && !(mixed == Mixed::Bf16 && cpu_multiplies_bf16());
        let converted =
            converted.then(|| format!("by conversion to f32: this CPU has no products of {}", mixed.dtype().name()));
        let in_f32 = full_precision_layers(model);
        let in_f32 = (!in_f32.is_empty()).then(|| format!("in f32: {}", in_f32.join(", ")));
        converted.into_iter().chain(in_f32).collect()
    }

    /// What is drawn: the pictures that the model makes, and the curves of a run that is kept.
    pub(super) fn drawn(&self, pictures: Option<Pictures>, model: &Sequential) -> Result<Drawn> {
        let progression = |pictures| {
            let copy = Sequential::from_architecture(&model.architecture(), self.device)?;
            Progression::new(pictures, copy)
        };
        Ok(Drawn { progression: pictures.map(progression).transpose()?, curves: self.path.map(Curves::new) })
    }

    /// Trains.
    pub(super) fn fit(
        &self,
        trainer: &mut Training,
        drawn: &mut Drawn,
        mut callbacks: Vec<Box<dyn Callback>>,
        folder: Option<&mut Folder<'_>>,
        signals: &Signals,
    ) -> Result<History> {
        let validation = self.data.validation.as_deref().unwrap_or(&*self.data.test);
        let mut fit = fit_options(self.plan, &self.batches, self.seed)
            .until_epoch(self.plan.epochs)
            .validation(validation)
            .stop(signals.stop())
            .on_epoch(|record| self.report.epoch(record, self.plan.epochs));
        fit = if self.options.json || self.options.quiet {
            fit.quiet()
        } else {
            // The lines of epochs go to stdout.
            fit.progress(ProgressBar::new().unit(self.data.called).epoch_lines(false))
        };
        for callback in &mut callbacks {
            fit = fit.callback(&mut **callback);
        }
        if let Some(progression) = &mut drawn.progression {
            fit = fit.callback(progression);
        }
        if let Some(curves) = &mut drawn.curves {
            fit = fit.callback(curves);
        }
        let asked = folder.as_ref().map(|folder| Arc::clone(&folder.asked));
        if let Some(folder) = folder {
            fit = fit.callback(&mut folder.checkpoint);
        }
        fit = fit.callback(SaveOnSignal { signals, asked, requested: false });
        trainer.fit(&*self.data.train, fit)
    }

    /// Says how it went.
    pub(super) fn finish(&self, trainer: &Training, history: &History, ended: &Ended) -> Result<()> {
        let interrupted = ended.interrupted;
        if let Some(path) = self.path {
            self.report.saved(path, ended.pictured);
        }
        match &history.stopped {
            Some(progress) if interrupted => tell_interrupted(progress, self.plan.epochs, self.path),
            Some(progress) => self.report.ended_early(progress.epoch, self.plan.epochs),
            None => {}
        }
        let scale = &trainer.state.loss_scale;
        let skipped = scale.skipped()?;
        if skipped > 0 {
            let (steps, factor) = (trainer.state.step, scale.factor()?);
            tell(&format!(
                "{skipped} of {steps} steps were skipped, as a gradient was not finite in f16; the loss scale is now {factor}"
            ));
        }
        // A run that goes on may have had all epochs before.
        let last = history.last().or(trainer.state.history.last()).and_then(|record| record.validation.clone());
        let own = self.data.validation.as_deref();
        let [validation, test] = match own {
            _ if interrupted => [own.and(last.clone()), if own.is_some() { None } else { last }],
            // Callbacks may have put other weights in the place of the last epoch's.
            Some(own) if ended.callbacks_run => [Some(self.measured(trainer, own)?), Some(self.tested(trainer)?)],
            Some(_) => [last, Some(self.tested(trainer)?)],
            None if ended.callbacks_run => [None, Some(self.tested(trainer)?)],
            None => [None, last],
        };
        let now = [trainer.state.epoch, trainer.state.batch];
        self.report.finish(&Summary {
            validation: validation.as_ref(),
            test: test.as_ref(),
            seconds: history.seconds,
            images: self.batches.seen(now) - self.batches.seen(ended.before),
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
    /// Whether pictures were drawn that the model makes.
    pub(super) pictured: bool,
    /// Epochs completed before, and batches of the next one.
    pub(super) before: [u64; 2],
}

fn tell_interrupted(progress: &Progress, epochs: usize, path: Option<&Path>) {
    let Progress { epoch, batch, batches, .. } = progress;
    let saved = match path {
        Some(path) => format!("saved; resume with `kiln train --resume {}`", path.display()),
        None => "without --out, nothing is saved".to_owned(),
    };
    tell(&format!("interrupted in epoch {epoch} of {epochs}, after batch {batch} of {batches}: {saved}"));
}
