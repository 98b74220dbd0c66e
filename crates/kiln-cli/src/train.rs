//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::places::folder_of;
use crate::recipes::{Prepared, Setup};
use crate::report::{Report, Summary};
use kiln::prelude::*;
use kiln::{Error, ErrorKind, Result};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

pub(crate) fn run(options: &TrainOptions) -> Result<()> {
    let data = folder_of(options.recipe.data(), options.data.as_deref());
    if data.is_none() {
        eprintln!(
            "using the embedded subset of MNIST, 10,000 + 2,000 images: `kiln data fetch mnist` brings all 60,000 + 10,000"
        );
    }
    in_pool(options.threads, || train(options, data.as_deref()))
}

fn train(options: &TrainOptions, data: Option<&Path>) -> Result<()> {
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

/// Runs `f` in a pool of so many threads, or in the default one. Everything is done in it: beside a pool of one's own, the
/// default one would start its threads for the first large region outside.
fn in_pool<R: Send>(threads: Option<NonZeroUsize>, f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    let Some(threads) = threads else { return f() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build();
    let pool = pool.map_err(|e| Error::value("", format!("--threads {threads}: {e}")).with_source(e))?;
    kiln::run_in(&pool, f)
}
