//! What is trained, made ready: the model, its data and how that is cut into batches.

use super::batches::{Batches, batches, limited};
use crate::arguments::TrainOptions;
use crate::report::tell;
use crate::settings::{Plan, Prepared, Settings, Setup};
use kiln::prelude::*;

pub(super) struct Ready {
    pub(super) prepared: Prepared,
    /// How many samples the data has to train on, to validate with and to test on, without a limit.
    pub(super) counts: [usize; 3],
    /// What it is called in reports.
    pub(super) name: String,
    pub(super) batches: Batches,
}

/// Makes the model and reads the data; says on stderr what there is to know of it.
pub(super) fn ready(options: &TrainOptions, settings: &Settings, setup: &Setup<'_>) -> Result<Ready> {
    let mut prepared = settings.prepare(setup)?;
    if options.resume.is_some() {
        settings.expect_counts(&prepared.data)?;
    }
    let counts = prepared.data.counts();
    if let Some(limit) = prepared.plan.limit {
        prepared.data.train = limited(prepared.data.train, limit, settings.has_path())?;
    }
    prepared.data.notices.iter().for_each(|notice| tell(notice));
    let name = name_of(options, settings)?;
    let batches = batches(options, &*prepared.data.train, &prepared.plan, &name)?;
    Ok(Ready { prepared, counts, name, batches })
}

/// What the settings say of steps.
pub(super) fn fit_options<'f>(plan: &Plan, batches: &Batches, seed: u64) -> FitOptions<'f> {
    FitOptions::new()
        .batch_size(batches.batch_size)
        .drop_last(plan.drop_last)
        .workers(plan.workers)
        .accumulate(plan.accumulate)
        .class_weight(&plan.class_weight)
        .seed(seed)
}

/// What the run is called in reports.
fn name_of(options: &TrainOptions, settings: &Settings) -> Result<String> {
    if let Some(recipe) = settings.recipe()? {
        return Ok(recipe);
    }
    let path = options.task.config.as_deref().or(options.resume.as_deref());
    let name = path.and_then(|path| if options.resume.is_some() { path.file_name() } else { path.file_stem() });
    Ok(name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()))
}
