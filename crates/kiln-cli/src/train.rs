//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::config::{self, Config};
use crate::interrupt;
use crate::pictures::{Pictures, Progression};
use crate::places::folder_of;
use crate::pool::in_pool;
use crate::recipes::{Prepared, Recipe, Setup, Training};
use crate::report::{Plan, Report, Summary, tell};
use crate::run_folder::{Out, PARTIAL_SAMPLES};
use kiln::ErrorKind;
use kiln::datasets::Subset;
use kiln::prelude::*;
use kiln::store::Store;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

pub(crate) fn run(options: &TrainOptions) -> Result<ExitCode> {
    in_pool(options.computing.threads, || train(options))
}

/// The folder of a recipe's data; none where the recipe brings its own. Where there is none of MNIST's, the subset that the
/// command carries serves, and that is said.
pub(crate) fn data_folder(recipe: Recipe, option: Option<&Path>) -> Option<PathBuf> {
    let data = folder_of(recipe.data()?, option);
    if data.is_none() && recipe.data() == Some("mnist") {
        tell("using the embedded subset of MNIST: `kiln data fetch mnist` brings all 70,000 images");
    }
    data
}

fn train(options: &TrainOptions) -> Result<ExitCode> {
    let device = options.computing.device.open()?;
    let data = data_folder(options.recipe, options.data.as_deref());
    let stop = interrupt::flag()?;
    let setup = Setup { data: data.as_deref(), device: &device, seed: options.seed, learning_rate: options.lr };
    let Prepared { mut trainer, mut train, test, epochs, batch_size, schedule, pictures } =
        options.recipe.prepare(&setup)?;
    if let Some(limit) = options.limit {
        train = limited(train, limit.get())?;
    }
    let epochs = options.epochs.map_or(epochs, NonZeroUsize::get);
    let batches = batches(options, &*train, batch_size)?;
    let steps = epochs.saturating_mul(batches.steps) as u64;
    let schedule = schedule.map(|schedule| schedule(steps));
    let schedule_name = schedule.as_ref().map(|schedule| format!("{} over {steps} steps", schedule.name()));
    if let Some(schedule) = schedule {
        trainer.optimizer = Box::new(trainer.optimizer.schedule(schedule));
    }
    let report = Report::new(options);
    let job = Job { options, device: &device, train: &*train, test: &*test, epochs, batches, report };
    let config = job.config(&*trainer.optimizer, schedule_name, data.as_deref());
    let parameters = trainer.objective.model().parameter_count();
    let store = options.out.as_deref().map(Store::new);
    let out = store.as_ref().map(|store| Out::make(store, 4 * parameters, options.force)).transpose()?;

    job.begin(parameters);
    let mut progression = pictures.map(|pictures| job.progression(pictures)).transpose()?;
    let (fitted, completed) = job.fit(&mut trainer, progression.as_mut(), &stop);
    let mut undrawn = progression.as_mut().and_then(Progression::take_error);
    let save = |history: &History| {
        let Some(mut out) = out else { return Ok(()) };
        // Where the picture cannot be drawn, the rest is saved all the same.
        let samples = match progression.as_ref().map(Progression::png).transpose() {
            Ok(samples) => samples,
            Err(error) => {
                undrawn.get_or_insert(error);
                None
            }
        };
        out.save(&config, trainer.objective.model(), history, samples)
    };
    let history = match fitted {
        Ok(history) => history,
        // The model is again that of the last completed epoch.
        Err(error) if error.kind() == ErrorKind::Diverged && !completed.epochs.is_empty() => {
            save(&completed)?;
            return Err(with_place(&error, ", saved in", options.out.as_deref()));
        }
        Err(error) => return Err(error),
    };
    save(&history)?;
    if let Some(error) = undrawn {
        return Err(with_place(&error, "; the rest of the run is saved in", options.out.as_deref()));
    }
    job.finish(&history, progression.is_some());
    Ok(if history.stopped.is_some() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// A training, as it was asked for.
struct Job<'a> {
    options: &'a TrainOptions,
    device: &'a Device,
    train: &'a dyn Dataset,
    test: &'a dyn Dataset,
    epochs: usize,
    batches: Batches,
    report: Report,
}

impl Job<'_> {
    fn config(&self, optimizer: &dyn Optimizer, schedule: Option<String>, data: Option<&Path>) -> Config {
        let options = self.options;
        Config {
            recipe: options.recipe.name(),
            seed: options.seed,
            options: config::Options {
                epochs: self.epochs,
                batch_size: self.batches.batch_size,
                drop_last: options.drop_last,
                optimizer: optimizer.name().to_owned(),
                learning_rate: optimizer.learning_rate(),
                schedule,
                threads: kiln::threads(),
                device: self.device.name().to_owned(),
                limit: options.limit.map(NonZeroUsize::get),
                // Without a folder it is the subset that the command carries.
                data: data.map_or_else(|| "embedded".into(), |folder| folder.to_string_lossy().into_owned()),
            },
            versions: config::Versions { kiln: env!("CARGO_PKG_VERSION").to_owned() },
        }
    }

    fn begin(&self, parameters: usize) {
        self.report.begin(&Plan {
            recipe: &self.options.recipe.name(),
            parameters,
            samples: (self.train.len(), self.test.len(), self.options.recipe.samples()),
            epochs: self.epochs,
            device: self.device.name(),
        });
    }

    fn progression(&self, pictures: Pictures) -> Result<Progression> {
        let model = self.options.recipe.model(self.device, self.options.seed)?;
        Progression::new(pictures, model, self.options.out.as_deref().map(|out| out.join(PARTIAL_SAMPLES)))
    }

    /// Trains; gives the epochs that were completed too, of a training that fails as well.
    fn fit(
        &self,
        trainer: &mut Training,
        progression: Option<&mut Progression>,
        stop: &AtomicBool,
    ) -> (Result<History>, History) {
        let mut completed = History::default();
        let fit = FitOptions::new()
            .epochs(self.epochs)
            .batch_size(self.batches.batch_size)
            .drop_last(self.options.drop_last)
            .seed(self.options.seed)
            .validation(self.test)
            .stop(stop)
            .on_epoch(|record| {
                self.report.epoch(record, self.epochs);
                completed.epochs.push(record.clone());
            });
        let fit = if self.options.json || self.options.quiet {
            fit.quiet()
        } else {
            // The lines of epochs go to stdout.
            fit.progress(ProgressBar::new().unit(self.options.recipe.samples()).epoch_lines(false))
        };
        let fit = match progression {
            Some(progression) => fit.callback(progression),
            None => fit,
        };
        let fitted = trainer.fit(self.train, fit);
        (fitted, completed)
    }

    /// Says how it went.
    fn finish(&self, history: &History, drawn: bool) {
        let out = self.options.out.as_deref();
        if let Some(out) = out {
            self.report.saved(out, drawn);
        }
        if let Some(progress) = &history.stopped {
            tell_interrupted(progress, self.epochs, out);
        }
        self.report.finish(&Summary {
            test: history.last().and_then(|record| record.validation.as_ref()),
            seconds: history.seconds,
            images: self.batches.seen(history, self.epochs),
            device: self.device.name(),
            seed: self.options.seed,
            interrupted: history.stopped.is_some(),
        });
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

/// The batches of the training data; fails where the options do not fit it.
fn batches(options: &TrainOptions, train: &dyn Dataset, batch_size: usize) -> Result<Batches> {
    let batch_size = options.batch_size.map_or(batch_size, NonZeroUsize::get);
    let (count, fixed) = (train.len(), train.fixed_batch_size());
    let refused = |message: String| Err(Error::value("", message));
    match (options.batch_size, fixed) {
        (Some(size), Some(fixed)) if size.get() != fixed => {
            return refused(format!(
                "--batch-size {size}: {} reads {fixed} places of its text side by side, and these are its batches; leave the \
                 option out",
                options.recipe.name()
            ));
        }
        (Some(size), _) if size.get() > count => {
            return refused(format!("--batch-size {size} is above the {count} samples of the training data"));
        }
        _ => {}
    }
    let size = fixed.unwrap_or(batch_size);
    if options.drop_last && size > count {
        return refused(format!(
            "--drop-last leaves out a batch that is not full, and the {count} samples of the training data do not fill one of \
             {size}: --batch-size {count} or smaller is needed"
        ));
    }
    let samples = if options.drop_last { count / size * size } else { count };
    Ok(Batches { batch_size, samples, steps: samples.div_ceil(size) })
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
