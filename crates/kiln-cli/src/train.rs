//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::interrupt;
use crate::pictures::{Pictures, Progression};
use crate::pool::in_pool;
use crate::report::{Plan as Words, Report, Summary, tell};
use crate::run_folder::{Out, PARTIAL_SAMPLES, Saved};
use crate::settings::{Data, Plan, Prepared, Settings, Setup, Steps, Training};
use kiln::ErrorKind;
use kiln::datasets::Subset;
use kiln::prelude::*;
use kiln::store::Store;
use kiln::train::Evaluation;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

pub(crate) fn run(options: &TrainOptions) -> Result<ExitCode> {
    in_pool(options.computing.threads, || train(options))
}

/// What is to be trained: a recipe or a file, with what the options set.
fn settings(options: &TrainOptions) -> Result<Settings> {
    let mut settings = match (&options.config, options.recipe) {
        (Some(file), _) => Settings::read(file)?,
        (None, Some(recipe)) => recipe.settings()?,
        (None, None) => return Err(Error::value("", "name a recipe, or a settings file with --config FILE")),
    };
    for option in &options.set {
        let whole = format!("--set {option}");
        let Some((path, value)) = option.split_once('=') else {
            return Err(Error::value("", format!("{whole}: PATH=VALUE is expected, such as optimizer.lr=0.01")));
        };
        settings.set(path.trim(), value.trim(), &whole)?;
    }
    let mut given = |path: &str, name: &str, value: Option<String>| match value {
        Some(value) => settings.set(path, &value, &format!("--{name} {value}")),
        None => Ok(()),
    };
    let text = |value: Option<std::num::NonZeroUsize>| value.map(|value| value.to_string());
    given("training.epochs", "epochs", text(options.epochs))?;
    given("training.batch_size", "batch-size", text(options.batch_size))?;
    given("training.limit", "limit", text(options.limit))?;
    given("training.drop_last", "drop-last", options.drop_last.then(|| "true".to_owned()))?;
    given("optimizer.lr", "lr", options.lr.map(|lr| format!("{lr:?}")))?;
    given("seed", "seed", options.seed.map(|seed| seed.to_string()))?;
    Ok(settings)
}

fn train(options: &TrainOptions) -> Result<ExitCode> {
    let device = options.computing.device.open()?;
    let mut settings = settings(options)?;
    let stop = interrupt::flag()?;
    let setup = Setup { data: options.data.as_deref(), device: &device, learned: None };
    let Prepared { mut trainer, mut data, plan, callbacks, pictures, logits } = settings.prepare(&setup)?;
    if let Some(limit) = plan.limit {
        data.train = limited(data.train, limit)?;
    }
    let name = name_of(options, &settings)?;
    let batches = batches(options, &*data.train, &plan, &name)?;
    let steps = plan.epochs.saturating_mul(batches.steps) as u64;
    if let Some(schedule) = settings.schedule(Steps { of_epoch: batches.steps as u64, all: steps })? {
        trainer.optimizer = Box::new(trainer.optimizer.schedule(schedule));
    }
    if let Some(path) = options.data.as_deref().filter(|_| settings.has_path()) {
        settings.set("data.path", &format!("{:?}", path.to_string_lossy()), "--data")?;
    }
    let report = Report::new(options);
    let job = Job { options, device: &device, name, data: &data, plan: &plan, batches, report, seed: settings.seed()? };
    let config = job.config(&settings)?;
    let parameters = trainer.objective.model().parameter_count();
    let store = options.out.as_deref().map(Store::new);
    let out = store.as_ref().map(|store| Out::make(store, 4 * parameters, options.force)).transpose()?;

    job.begin(parameters);
    let mut progression = match pictures {
        Some(pictures) => Some(job.progression(pictures, &settings, &setup)?),
        None => None,
    };
    let (fitted, completed) = job.fit(&mut trainer, progression.as_mut(), callbacks, &stop);
    let mut undrawn = progression.as_mut().and_then(Progression::take_error);
    let recipe = settings.recipe()?;
    let save = |trainer: &mut Training, history: &History| {
        let Some(mut out) = out else { return Ok(()) };
        // Where the picture cannot be drawn, the rest is saved all the same.
        let samples = match progression.as_ref().map(Progression::png).transpose() {
            Ok(samples) => samples,
            Err(error) => {
                undrawn.get_or_insert(error);
                None
            }
        };
        // The model is lent to what describes it.
        let mut trained = Trained::new(std::mem::take(trainer.objective.model_mut()));
        (trained.input, trained.logits) = (data.input.clone(), logits && !data.classes.is_empty());
        trained.classes.clone_from(&data.classes);
        trained.notes.extend(recipe.map(|recipe| ("recipe".to_owned(), recipe.into())));
        let saved = trained.description().and_then(|description| {
            let model = &trained.model;
            out.save(&Saved { model, description: &description, config: &config, history, samples })
        });
        *trainer.objective.model_mut() = trained.model;
        saved
    };
    let history = match fitted {
        Ok(history) => history,
        // The model is again that of the last completed epoch.
        Err(error) if error.kind() == ErrorKind::Diverged && !completed.epochs.is_empty() => {
            save(&mut trainer, &completed)?;
            return Err(with_place(&error, ", saved in", options.out.as_deref()));
        }
        Err(error) => return Err(error),
    };
    save(&mut trainer, &history)?;
    if let Some(error) = undrawn {
        return Err(with_place(&error, "; the rest of the run is saved in", options.out.as_deref()));
    }
    job.finish(&trainer, &history, progression.is_some())?;
    Ok(if history.stopped.is_some() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// What the run is called in reports.
fn name_of(options: &TrainOptions, settings: &Settings) -> Result<String> {
    if let Some(recipe) = settings.recipe()? {
        return Ok(recipe);
    }
    let file = options.config.as_deref().and_then(Path::file_stem);
    Ok(file.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()))
}

/// A training, as it was asked for.
struct Job<'a> {
    options: &'a TrainOptions,
    device: &'a Device,
    name: String,
    data: &'a Data,
    plan: &'a Plan,
    batches: Batches,
    report: Report,
    seed: u64,
}

impl Job<'_> {
    /// config.toml: the settings, and where and with what the run was made.
    fn config(&self, settings: &Settings) -> Result<String> {
        settings.to_toml(&json!({
            "data": self.data.place.to_string_lossy(),
            "device": self.device.name(),
            "threads": kiln::threads(),
            "kiln": env!("CARGO_PKG_VERSION"),
        }))
    }

    fn begin(&self, parameters: usize) {
        self.report.begin(&Words {
            recipe: &self.name,
            parameters,
            samples: (self.data.train.len(), self.data.test.len(), self.data.called),
            epochs: self.plan.epochs,
            device: self.device.name(),
        });
    }

    fn progression(&self, pictures: Pictures, settings: &Settings, setup: &Setup<'_>) -> Result<Progression> {
        let model = settings.model(setup)?;
        Progression::new(pictures, model, self.options.out.as_deref().map(|out| out.join(PARTIAL_SAMPLES)))
    }

    /// Trains; gives the epochs that were completed too, of a training that fails as well.
    fn fit(
        &self,
        trainer: &mut Training,
        progression: Option<&mut Progression>,
        mut callbacks: Vec<Box<dyn Callback>>,
        stop: &AtomicBool,
    ) -> (Result<History>, History) {
        let mut completed = History::default();
        let validation = self.data.validation.as_deref().unwrap_or(&*self.data.test);
        let mut fit = FitOptions::new()
            .epochs(self.plan.epochs)
            .batch_size(self.batches.batch_size)
            .drop_last(self.plan.drop_last)
            .workers(self.plan.workers)
            .accumulate(self.plan.accumulate)
            .class_weight(&self.plan.class_weight)
            .seed(self.seed)
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
    fn finish(&self, trainer: &Training, history: &History, drawn: bool) -> Result<()> {
        let out = self.options.out.as_deref();
        if let Some(out) = out {
            self.report.saved(out, drawn);
        }
        if let Some(progress) = &history.stopped {
            tell_interrupted(progress, self.plan.epochs, out);
        }
        let validation = history.last().and_then(|record| record.validation.clone());
        // What the weights that were kept give on the test data: it was validated on them, or it is measured now.
        let test = match (&self.data.validation, validation.clone(), history.stopped.is_some()) {
            (Some(_), _, false) => Some(self.tested(trainer)?),
            (None, validation, _) => validation,
            (Some(_), _, true) => None,
        };
        self.report.finish(&Summary {
            validation: self.data.validation.as_ref().and(validation.as_ref()),
            test: test.as_ref(),
            seconds: history.seconds,
            images: self.batches.seen(history, self.plan.epochs),
            device: self.device.name(),
            seed: self.seed,
            interrupted: history.stopped.is_some(),
        });
        Ok(())
    }

    fn tested(&self, trainer: &Training) -> Result<Evaluation> {
        let options = EvaluateOptions::new().batch_size(self.batches.batch_size);
        trainer.evaluate_with(&*self.data.test, options)
    }
}

/// How an epoch's samples are cut into batches.
struct Batches {
    /// The option, or the recipe's.
    batch_size: usize,
    /// What an epoch trains on.
    samples: usize,
    /// Of an epoch.
    steps: usize,
}

impl Batches {
    /// How many samples have been trained on.
    fn seen(&self, history: &History, epochs: usize) -> usize {
        match history.stopped {
            Some(Progress { epoch, batch, .. }) => {
                self.samples * (epoch - 1) + self.samples.min(batch * self.batch_size)
            }
            None => self.samples * epochs,
        }
    }
}

/// The batches of the training data; fails where the settings do not fit it.
fn batches(options: &TrainOptions, train: &dyn Dataset, plan: &Plan, name: &str) -> Result<Batches> {
    let (batch_size, count, fixed) = (plan.batch_size, train.len(), train.fixed_batch_size());
    let refused = |message: String| Err(Error::value("", message));
    match (options.batch_size, fixed) {
        (Some(size), Some(fixed)) if size.get() != fixed => {
            return refused(format!(
                "--batch-size {size}: {name} reads {fixed} places of its text side by side, and these are its batches; leave the \
                 option out"
            ));
        }
        (Some(size), _) if size.get() > count => {
            return refused(format!("--batch-size {size} is above the {count} samples of the training data"));
        }
        _ => {}
    }
    let size = fixed.unwrap_or(batch_size);
    if plan.drop_last && size > count {
        return refused(format!(
            "--drop-last leaves out a batch that is not full, and the {count} samples of the training data do not fill one of \
             {size}: --batch-size {count} or smaller is needed"
        ));
    }
    let samples = if plan.drop_last { count / size * size } else { count };
    Ok(Batches { batch_size, samples, steps: samples.div_ceil(size).div_ceil(plan.accumulate) })
}

/// An error with the folder of what was saved all the same.
fn with_place(error: &Error, words: &str, out: Option<&Path>) -> Error {
    let place = out.map(|out| format!("{words} {}", out.display())).unwrap_or_default();
    Error::new(error.kind(), error.operation(), format!("{}{place}", error.message()))
}

/// The first samples; of streams that go on side by side, the beginning of all.
fn limited(data: Box<dyn Dataset>, limit: usize) -> Result<Box<dyn Dataset>> {
    let streams = data.fixed_batch_size().unwrap_or(1);
    let count = (limit / streams * streams).max(streams).min(data.len());
    Ok(Box::new(Subset::new(data, 0..count)?))
}

fn tell_interrupted(progress: &Progress, epochs: usize, out: Option<&Path>) {
    let Progress { epoch, batch, batches, .. } = progress;
    let saved = match out {
        Some(out) => format!("the model of that moment is saved in {}", out.display()),
        None => "without --out, nothing is saved".to_owned(),
    };
    tell(&format!("interrupted in epoch {epoch} of {epochs}, after batch {batch} of {batches}: {saved}"));
}
