//! `kiln sweep`: a model is trained many times, with other values of some settings.
//!
//! A file is read into a [`plan`], from which the trials follow ([`trials`]); [`search`] says what is to be trained next, by the brackets of
//! the method ([`schedule`]); [`work`] runs the processes. What trials have reported is in their own runs, so that a sweep that was
//! killed begins by reading those.

mod folder;
mod left_over;
mod outcome;
mod parameter;
mod plan;
mod process;
mod schedule;
mod search;
mod trials;
mod values;
mod work;

pub(crate) use folder::STATE;

use crate::arguments::SweepOptions;
use crate::pool::in_pool;
use crate::settings::Setup;
use crate::signals::Signals;
use folder::Folder;
use kiln::Result;
use kiln::store::Store;
use kiln::tensor::Device;
use outcome::Outcome;
use plan::Plan;
use search::{Search, Trial};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use work::{Ended, Work};

pub(crate) fn run(options: &SweepOptions) -> Result<ExitCode> {
    let (begin, plan) = (Instant::now(), Plan::read(&options.file)?);
    let trials: Vec<Trial> = trials::trials(&plan)?.into_iter().map(Trial::new).collect();
    trials.iter().try_for_each(|trial| plan.settings(&trial.choice)?.check_parts())?;
    let signals = Signals::catch()?;
    let out = options.out.clone().unwrap_or_else(|| default_folder(&options.file));
    let store = Store::new(out);
    if !store.folder().exists() {
        try_first(options, &plan, &trials[0])?;
    }
    let mut folder = Folder::open(&store, &plan, &trials)?;
    let mut search = Search {
        brackets: schedule::brackets(&plan.method, plan.epochs, trials.len()),
        trials,
        larger_is_better: plan.larger_is_better,
        epochs: plan.epochs,
        pruning: plan.pruning,
    };
    let outcome = Outcome {
        metric: &plan.metric,
        paths: plan.parameters.iter().map(|parameter| parameter.path.as_str()).collect(),
        logs: plan.parameters.iter().map(|parameter| parameter.values.is_log()).collect(),
        json: options.json,
    };
    let parallel = options.parallel.map_or(plan.parallel, NonZeroUsize::get);
    let threads = options.threads.map(NonZeroUsize::get).or(plan.threads);
    let words = work::Words {
        base: &plan.base.source,
        parameters: &plan.parameters,
        device: options.device.open()?.name().to_owned(),
        threads: threads.unwrap_or_else(|| (kiln::threads() / parallel).max(1)),
        data: options.data.as_deref(),
    };
    let mut work = Work::new(&words, &outcome, parallel);
    let ended = work.run(&mut search, &mut folder, &signals)?;
    let picture = outcome.picture(&search)?;
    folder.save(picture.as_deref())?;
    outcome.finish(&search, &folder, begin.elapsed(), ended)?;
    Ok(signals.exit_code().filter(|_| ended == Ended::Interrupted).map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Makes all that the first trial trains, so that what is wrong with the settings is said before any process is started.
fn try_first(options: &SweepOptions, plan: &Plan, trial: &Trial) -> Result<()> {
    let settings = plan.settings(&trial.choice)?;
    let cpu = Device::cpu();
    let setup = Setup { data: options.data.as_deref(), device: &cpu, learned: None };
    in_pool(options.threads, || settings.prepare(&setup)).map(drop)
}

/// `my.toml` → `runs/my`.
fn default_folder(file: &Path) -> PathBuf {
    Path::new("runs").join(file.file_stem().unwrap_or("sweep".as_ref()))
}
