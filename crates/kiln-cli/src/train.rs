//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::interrupt;
use crate::places::folder_of;
use crate::pool::in_pool;
use crate::recipes::{Prepared, Recipe, Setup};
use crate::report::{Report, Summary};
use crate::run_folder::{self, Config};
use kiln::prelude::*;
use kiln::train::Progress;
use kiln::{Error, Result};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

pub(crate) fn run(options: &TrainOptions) -> Result<ExitCode> {
    in_pool(options.computing.threads, || train(options))
}

/// The folder of a recipe's data. Where there is none, the subset that the command carries serves, and that is said.
pub(crate) fn data_folder(recipe: Recipe, option: Option<&Path>) -> Option<PathBuf> {
    let data = folder_of(recipe.data(), option);
    if data.is_none() {
        eprintln!(
            "using the embedded subset of MNIST, 10,000 + 2,000 images: `kiln data fetch mnist` brings all 60,000 + 10,000"
        );
    }
    data
}

fn train(options: &TrainOptions) -> Result<ExitCode> {
    let device = options.computing.device.open()?;
    let data = data_folder(options.recipe, options.data.as_deref());
    let data = data.as_deref();
    let stop = interrupt::flag()?;
    let setup = Setup { data, device: &device, seed: options.seed, learning_rate: options.lr };
    let Prepared { mut trainer, mut train, test, epochs, batch_size } = options.recipe.prepare(&setup)?;
    if let Some(limit) = options.limit {
        train = train.limit(limit.get());
    }
    let epochs = options.epochs.map_or(epochs, NonZeroUsize::get);
    let batch_size = options.batch_size.map_or(batch_size, NonZeroUsize::get);
    if options.batch_size.is_some() && batch_size > train.len() {
        let message = format!("--batch-size {batch_size} is above the {} samples of the training data", train.len());
        return Err(Error::value("", message));
    }
    if let Some(out) = &options.out {
        run_folder::make(out)?;
    }
    let learning_rate = trainer.optimizer.learning_rate();

    let report = Report::new(options);
    let bar = report.has_bar();
    let report = Mutex::new(report);
    let report = || report.lock().unwrap_or_else(PoisonError::into_inner);
    let mut fit = FitOptions::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .seed(options.seed)
        .validation(&test)
        .stop(&stop)
        .on_epoch(|record| report().epoch(record, epochs));
    if bar {
        fit = fit.on_batch(|progress| report().batch(progress, epochs));
    }
    let history = trainer.fit(&train, fit)?;

    if let Some(out) = &options.out {
        let config = Config {
            recipe: options.recipe,
            epochs,
            batch_size,
            learning_rate,
            optimizer: trainer.optimizer.name(),
            seed: options.seed,
            threads: rayon::current_num_threads(),
            device: device.name(),
            limit: options.limit.map(NonZeroUsize::get),
            data,
        };
        run_folder::save(out, &config, &trainer.objective.model, &history)?;
    }
    let mut images = train.len() * epochs;
    if let Some(Progress { epoch, batch, batches, .. }) = history.stopped {
        images = train.len() * (epoch - 1) + train.len().min(batch * batch_size);
        let saved = match &options.out {
            Some(out) => format!("the model of that moment is saved in {}", out.display()),
            None => "without --out, nothing is saved".to_owned(),
        };
        eprintln!("interrupted in epoch {epoch} of {epochs}, after batch {batch} of {batches}: {saved}");
    }
    if let Some(test) = history.last().and_then(|record| record.validation.as_ref()) {
        report().finish(&Summary {
            test,
            seconds: history.seconds,
            images,
            device: device.name(),
            seed: options.seed,
            interrupted: history.stopped.is_some(),
        });
    }
    Ok(if history.stopped.is_some() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}
