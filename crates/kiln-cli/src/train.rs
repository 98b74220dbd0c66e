//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::config::{self, Config};
use crate::interrupt;
use crate::pictures::Progression;
use crate::places::folder_of;
use crate::pool::in_pool;
use crate::recipes::{Prepared, Recipe, Setup};
use crate::report::{Plan, Report, Summary, tell};
use crate::run_folder::{Out, PARTIAL_SAMPLES};
use kiln::ErrorKind;
use kiln::datasets::Subset;
use kiln::prelude::*;
use kiln::store::Store;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    let data = data.as_deref();
    let stop = interrupt::flag()?;
    let setup = Setup { data, device: &device, seed: options.seed, learning_rate: options.lr };
    let Prepared { mut trainer, mut train, test, epochs, batch_size, schedule, pictures } =
        options.recipe.prepare(&setup)?;
    if let Some(limit) = options.limit {
        train = limited(train, limit.get())?;
    }
    let epochs = options.epochs.map_or(epochs, NonZeroUsize::get);
    let batch_size = options.batch_size.map_or(batch_size, NonZeroUsize::get);
    if let (Some(size), Some(fixed)) = (options.batch_size, train.fixed_batch_size())
        && size.get() != fixed
    {
        let message = format!(
            "--batch-size {size}: {} reads {fixed} places of its text side by side, and these are its batches; leave the option out",
            options.recipe.name()
        );
        return Err(Error::value("", message));
    }
    if options.batch_size.is_some() && batch_size > train.len() {
        let message = format!("--batch-size {batch_size} is above the {} samples of the training data", train.len());
        return Err(Error::value("", message));
    }
    let size = train.fixed_batch_size().unwrap_or(batch_size);
    if options.drop_last && size > train.len() {
        let message = format!(
            "--drop-last leaves out a batch that is not full, and the {} samples of the training data do not fill one of {size}: \
             --batch-size {} or smaller is needed",
            train.len(),
            train.len()
        );
        return Err(Error::value("", message));
    }
    // What an epoch trains on.
    let samples = if options.drop_last { train.len() / size * size } else { train.len() };
    let steps = epochs.saturating_mul(samples.div_ceil(size)) as u64;
    let schedule = schedule.map(|schedule| schedule(steps));
    let schedule_name = schedule.as_ref().map(|schedule| format!("{} over {steps} steps", schedule.name()));
    if let Some(schedule) = schedule {
        trainer.optimizer = Box::new(trainer.optimizer.schedule(schedule));
    }
    let config = Config {
        recipe: options.recipe.name(),
        seed: options.seed,
        options: config::Options {
            epochs,
            batch_size,
            drop_last: options.drop_last,
            optimizer: trainer.optimizer.name().to_owned(),
            learning_rate: trainer.optimizer.learning_rate(),
            schedule: schedule_name,
            threads: kiln::threads(),
            device: device.name().to_owned(),
            limit: options.limit.map(NonZeroUsize::get),
            // Without a folder it is the subset that the command carries.
            data: data.map_or_else(|| "embedded".into(), |folder| folder.to_string_lossy().into_owned()),
        },
        versions: config::Versions { kiln: env!("CARGO_PKG_VERSION").to_owned() },
    };
    let parameters = trainer.objective.model().parameter_count();
    let store = options.out.as_deref().map(Store::new);
    let out = store.as_ref().map(|store| Out::make(store, 4 * parameters, options.force)).transpose()?;

    let report = Report::new(options);
    report.begin(&Plan {
        recipe: &options.recipe.name(),
        parameters,
        samples: (train.len(), test.len(), options.recipe.samples()),
        epochs,
        device: device.name(),
    });
    let progression = |pictures| {
        let model = options.recipe.model(&device, options.seed)?;
        Progression::new(pictures, model, options.out.as_deref().map(|out| out.join(PARTIAL_SAMPLES)))
    };
    let mut progression = pictures.map(progression).transpose()?;
    let mut completed = History::default();
    let fit = FitOptions::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .drop_last(options.drop_last)
        .seed(options.seed)
        .validation(&*test)
        .stop(&stop)
        .on_epoch(|record| {
            report.epoch(record, epochs);
            completed.epochs.push(record.clone());
        });
    let fit = if options.json || options.quiet {
        fit.quiet()
    } else {
        // The lines of epochs go to stdout.
        fit.progress(ProgressBar::new().unit(options.recipe.samples()).epoch_lines(false))
    };
    let fit = match &mut progression {
        Some(progression) => fit.callback(progression),
        None => fit,
    };
    let fitted = trainer.fit(&*train, fit);

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
    if let Some(out) = &options.out {
        report.saved(out, progression.is_some());
    }
    if let Some(progress) = &history.stopped {
        tell_interrupted(progress, epochs, options.out.as_deref());
    }
    report.finish(&Summary {
        test: history.last().and_then(|record| record.validation.as_ref()),
        seconds: history.seconds,
        images: images_seen(&history, samples, epochs, batch_size),
        device: device.name(),
        seed: options.seed,
        interrupted: history.stopped.is_some(),
    });
    Ok(if history.stopped.is_some() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
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

/// How many images have been trained on.
fn images_seen(history: &History, samples: usize, epochs: usize, batch_size: usize) -> usize {
    match history.stopped {
        Some(Progress { epoch, batch, .. }) => samples * (epoch - 1) + samples.min(batch * batch_size),
        None => samples * epochs,
    }
}
