//! `kiln train`.

use crate::arguments::TrainOptions;
use crate::recipes::Prepared;
use crate::report::{Report, Summary};
use kiln::prelude::*;
use kiln::{Error, ErrorKind, Result};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub(crate) fn run(options: &TrainOptions) -> Result<()> {
    let device = options.device.open()?;
    let Prepared { model, mut train, test, epochs, batch_size, learning_rate } =
        options.recipe.prepare(&data_folder(options)?, &device, options.seed)?;
    if let Some(limit) = options.limit {
        train = train.limit(limit.get());
    }
    let epochs = options.epochs.map_or(epochs, NonZeroUsize::get);
    let batch_size = options.batch_size.map_or(batch_size, NonZeroUsize::get);
    if batch_size > train.len() {
        return Err(Error::new(
            ErrorKind::Value,
            "",
            format!("--batch-size {batch_size} is above the {} samples of the training data", train.len()),
        ));
    }
    if let Some(out) = &options.out {
        std::fs::create_dir_all(out).map_err(|e| unwritable(out, e))?;
    }
    let optimizer = Adam::new(options.lr.unwrap_or(learning_rate));
    let mut trainer = compile(model, optimizer, SparseCategoricalCrossentropy::new()).metric(Accuracy);
    let report = std::sync::Mutex::new(Report::new(options));
    let with_report = |f: &dyn Fn(&mut Report)| {
        if let Ok(mut report) = report.lock() {
            f(&mut report);
        }
    };
    let fit = FitOptions::new()
        .epochs(epochs)
        .batch_size(batch_size)
        .seed(options.seed)
        .device(&device)
        .validation(&test)
        .on_batch(|progress| with_report(&|report| report.batch(progress, epochs)))
        .on_epoch(|record| with_report(&|report| report.epoch(record, epochs)));
    let history = in_pool(options.threads, || trainer.fit(&train, fit))?;
    let Some(last) = history.last().and_then(|record| record.validation.as_ref()) else {
        return Ok(()); // fit ran at least one epoch, with its validation
    };
    if let Some(out) = &options.out {
        save(out, &trainer.objective.model, &history)?;
    }
    let images = train.len() * epochs;
    let summary = Summary { test: last, seconds: history.seconds, images, device: device.name(), seed: options.seed };
    with_report(&|report| report.finish(&summary));
    Ok(())
}

/// Where the data is: `--data`, or the environment.
fn data_folder(options: &TrainOptions) -> Result<PathBuf> {
    options.data.clone().or_else(|| std::env::var_os("KILN_DATA_DIR").map(PathBuf::from)).ok_or_else(|| {
        Error::new(
            ErrorKind::Value,
            "",
            format!("{} needs its data: name its folder with --data DIR or $KILN_DATA_DIR", options.recipe.name()),
        )
    })
}

/// Runs `f` in a pool of so many threads, or in the default one.
fn in_pool<R: Send>(threads: Option<NonZeroUsize>, f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    let Some(threads) = threads else { return f() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build();
    let pool = pool.map_err(|e| Error::new(ErrorKind::Value, "", format!("--threads {threads}: {e}")))?;
    kiln::run_in(&pool, f)
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "", format!("{}: {error}", path.display())).with_source(error)
}

/// Writes the model and the history, each whole or not at all.
fn save(out: &Path, model: &Sequential, history: &History) -> Result<()> {
    kiln::nn::safetensors::save(model, out.join("model.safetensors"))?;
    let path = out.join("history.csv");
    let temporary = out.join("history.csv.partial");
    std::fs::write(&temporary, history.to_csv())
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(|e| unwritable(&path, e))
}
