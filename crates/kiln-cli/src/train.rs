//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::recipes::{Prepared, Setup};
use crate::report::{Report, Summary};
use kiln::prelude::*;
use kiln::{Error, ErrorKind, Result};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) fn run(options: &TrainOptions) -> Result<()> {
    let data = data_folder(options)?;
    in_pool(options.threads, || train(options, &data))
}

fn train(options: &TrainOptions, data: &Path) -> Result<()> {
    let setup = Setup { data, device: &options.device, seed: options.seed, learning_rate: options.lr };
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
        // Before the work, not after it.
        std::fs::create_dir_all(out).map_err(|e| {
            let message = format!("--out {}: this folder cannot be made: {e}", out.display());
            Error::new(ErrorKind::Io, "", message).with_source(e)
        })?;
    }

    let report = Report::new(options);
    let bar = report.has_bar();
    let report = Mutex::new(report);
    let report = || report.lock().unwrap_or_else(PoisonError::into_inner);
    let mut fit = FitOptions::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .seed(options.seed)
        .validation(&test)
        .on_epoch(|record| report().epoch(record, epochs));
    if bar {
        fit = fit.on_batch(|progress| report().batch(progress, epochs));
    }
    let history = trainer.fit(&train, fit)?;

    if let Some(out) = &options.out {
        kiln::nn::safetensors::save(&trainer.objective.model, out.join("model.safetensors"))?;
        kiln::nn::safetensors::write_atomically(&out.join("history.csv"), history.to_csv().as_bytes())?;
    }
    if let Some(test) = history.last().and_then(|record| record.validation.as_ref()) {
        report().finish(&Summary {
            test,
            seconds: history.seconds,
            images: train.len() * epochs,
            device: options.device.name(),
            seed: options.seed,
        });
    }
    Ok(())
}

/// Where the data is: `--data`, or the environment.
fn data_folder(options: &TrainOptions) -> Result<PathBuf> {
    let variable = || std::env::var_os("KILN_DATA_DIR").filter(|folder| !folder.is_empty());
    let folder = options.data.clone().or_else(|| variable().map(PathBuf::from));
    folder.ok_or_else(|| {
        let recipe = options.recipe.name();
        Error::value("", format!("{recipe} needs its data: name its folder with --data DIR or $KILN_DATA_DIR"))
    })
}

/// Runs `f` in a pool of so many threads, or in the default one. Everything is done in it: beside a pool of one's own, the
/// default one would start its threads for the first large region outside.
fn in_pool<R: Send>(threads: Option<NonZeroUsize>, f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    let Some(threads) = threads else { return f() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build();
    let pool = pool.map_err(|e| Error::value("", format!("--threads {threads}: {e}")).with_source(e))?;
    kiln::run_in(&pool, f)
}
