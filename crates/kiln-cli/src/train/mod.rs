//! `kiln train`.

mod batches;
mod find_lr;
mod given;
mod job;
mod ready;

pub(crate) use find_lr::run as find_lr;

use crate::arguments::TrainOptions;
use crate::interrupt;
use crate::pictures::Progression;
use crate::pool::in_pool;
use crate::report::Report;
use crate::run_folder::{Out, Saved};
use crate::settings::{Data, Prepared, Setup, Steps};
use job::{Ended, Job};
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::Store;
use kiln::trained::Input;
use ready::{Ready, ready};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

pub(crate) fn run(options: &TrainOptions) -> Result<ExitCode> {
    in_pool(options.computing.threads, || train(options))
}

fn train(options: &TrainOptions) -> Result<ExitCode> {
    let device = options.computing.device.open()?;
    let mut settings = given::settings(options)?;
    let stop = interrupt::flag()?;
    let setup = Setup { data: options.data.as_deref(), device: &device, learned: None };
    let Ready { prepared, counts, name, batches } = ready(options, &settings, &setup)?;
    let Prepared { mut trainer, data, plan, callbacks, pictures, logits } = prepared;
    let steps = Steps { of_epoch: batches.steps as u64, all: plan.epochs.saturating_mul(batches.steps) as u64 };
    let schedule = settings.schedule(steps)?;
    let followed = schedule.as_ref().map(|schedule| format!("{} over {} steps", schedule.name(), steps.all));
    if let Some(schedule) = schedule {
        trainer.optimizer = Box::new(trainer.optimizer.schedule(schedule));
    }
    if let Some(path) = options.data.as_deref().filter(|_| settings.has_path()) {
        settings.set_data(path)?;
    }
    let report = Report::new(options);
    let callbacks_run = !callbacks.is_empty();
    let job = Job { options, device: &device, name, data: &data, plan: &plan, batches, report, seed: settings.seed()? };
    let parameters = trainer.objective.model().parameter_count();
    let store = options.out.as_deref().map(Store::new);
    let out = store.as_ref().map(|store| Out::make(store, 4 * parameters, options.force)).transpose()?;
    let kept =
        Kept { out, config: job.config(&settings, counts, followed), recipe: settings.recipe()?, data: &data, logits };

    job.begin(parameters);
    let mut progression = match pictures {
        Some(pictures) => Some(job.progression(pictures, trainer.objective.model())?),
        None => None,
    };
    let (fitted, completed) = job.fit(&mut trainer, progression.as_mut(), callbacks, &stop);
    let model = trainer.objective.model_mut();
    let (history, place) = match fitted {
        Ok(history) => (history, options.out.as_deref()),
        // The model is again that of the last completed epoch.
        Err(error) if error.kind() == ErrorKind::Diverged && !completed.epochs.is_empty() => {
            kept.save(model, &completed, progression.as_mut())?;
            return Err(with_place(&error, ", saved in", options.out.as_deref()));
        }
        Err(error) => return Err(error),
    };
    if let Some(error) = kept.save(model, &history, progression.as_mut())? {
        return Err(with_place(&error, "; the rest of the run is saved in", place));
    }
    let interrupted = stop.load(Relaxed);
    let drawn = progression.is_some();
    job.finish(&trainer, &history, &Ended { interrupted, callbacks_run, drawn })?;
    Ok(if interrupted { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// What is kept of a training.
struct Kept<'a> {
    out: Option<Out<'a>>,
    config: String,
    recipe: Option<String>,
    data: &'a Data,
    logits: bool,
}

impl Kept<'_> {
    /// Saves the model and all that belongs to it, where that is asked for. Where the picture cannot be drawn, the rest is saved all the
    /// same, and the error is given back.
    fn save(
        self,
        model: &mut Sequential,
        history: &History,
        mut progression: Option<&mut Progression>,
    ) -> Result<Option<Error>> {
        let mut undrawn = progression.as_mut().and_then(|progression| progression.take_error());
        let Some(mut out) = self.out else { return Ok(undrawn) };
        let samples = match progression.map(|progression| progression.png()).transpose() {
            Ok(samples) => samples,
            Err(error) => {
                undrawn.get_or_insert(error);
                None
            }
        };
        // The model is lent to what describes it.
        let mut trained = Trained::new(std::mem::take(model));
        let answers = !self.data.classes.is_empty() || matches!(self.data.input, Some(Input::Tokens(_)));
        (trained.input, trained.logits) = (self.data.input.clone(), self.logits && answers);
        trained.csv = self.data.csv.clone();
        trained.classes.clone_from(&self.data.classes);
        trained.notes.extend(self.recipe.map(|recipe| ("recipe".to_owned(), recipe.into())));
        let saved = trained.description().and_then(|description| {
            let (model, config) = (&trained.model, self.config.as_str());
            out.save(&Saved { model, description: &description, config, history, samples })
        });
        *model = trained.model;
        saved.map(|()| undrawn)
    }
}

/// An error with the folder of what was saved all the same.
fn with_place(error: &Error, words: &str, out: Option<&Path>) -> Error {
    let place = out.map(|out| format!("{words} {}", out.display())).unwrap_or_default();
    Error::new(error.kind(), error.operation(), format!("{}{place}", error.message()))
}
