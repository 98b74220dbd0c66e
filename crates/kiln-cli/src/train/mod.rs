//! `kiln train`.

mod batches;
mod curves;
mod find_lr;
mod folder;
mod given;
mod job;
pub(crate) mod logs;
mod profiled;
mod ready;

pub(crate) use find_lr::run as find_lr;

use crate::arguments::TrainOptions;
use crate::pool::in_pool;
use crate::report::Report;
use crate::settings::{Data, Prepared, Settings, Setup, Steps};
use crate::signals::Signals;
use folder::{Files, Folder};
use given::Given;
use job::{Ended, Job};
use kiln::prelude::*;
use kiln::train::{Phase, Resumed};
use kiln::trained::Input;
use profiled::Profiled;
use ready::{Ready, ready};
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(options: &TrainOptions) -> Result<ExitCode> {
    in_pool(options.computing.threads, || train(options))
}

fn train(options: &TrainOptions) -> Result<ExitCode> {
    let device = options.computing.device.open()?;
    let Given { mut settings, data: given, resumed } = given::given(options)?;
    let report = Report::new(options);
    if let Some(epochs) = resumed.as_ref().and_then(|resumed| complete(&settings, resumed)) {
        let folder = options.resume.as_deref().unwrap_or(Path::new(""));
        // Files that a process left under temporary names get their own. A folder that cannot be written can be read all the same.
        drop(kiln::store::Store::new(folder).lock());
        report.complete(folder, epochs);
        return Ok(ExitCode::SUCCESS);
    }
    let signals = Signals::catch()?;
    let setup = Setup { data: given.as_deref(), device: &device, learned: None };
    let Ready { prepared, counts, name, batches } = ready(options, &settings, &setup)?;
    let Prepared { mut trainer, data, plan, mut callbacks, pictures, logits } = prepared;
    let steps = Steps { of_epoch: batches.steps as u64, all: plan.epochs.saturating_mul(batches.steps) as u64 };
    let schedule = settings.schedule(steps)?;
    let followed = schedule.as_ref().map(|schedule| format!("{} over {} steps", schedule.name(), steps.all));
    if let Some(schedule) = schedule {
        trainer.optimizer = Box::new(trainer.optimizer.schedule(schedule));
    }
    if let Some(path) = given.as_deref().filter(|_| settings.has_path()) {
        settings.set_data(path)?;
    }
    let path = options.resume.as_deref().or(options.out.as_deref());
    let callbacks_run = !callbacks.is_empty();
    let seed = settings.seed()?;
    let job = Job { options, device: &device, name, data: &data, plan: &plan, batches, report, seed, path };
    callbacks.extend(job.logs(&settings, trainer.objective.model())?);
    let config = job.config(&settings, counts, followed, given.as_deref());
    let recipe = settings.recipe()?;
    let model = trainer.objective.model_mut();
    let (weights, parameters) = (4 * model.parameter_count(), model.parameter_count());
    let files = Files { description: description(model, recipe, &data, logits)?, config };
    if let Some(resumed) = &resumed {
        trainer.resume_from(resumed)?;
    }
    let folder = path.map(|path| Folder::open(path, &plan, files));
    let mut folder = match (folder, &resumed) {
        (Some(folder), Some(resumed)) => Some(folder.resume(resumed)?),
        (Some(folder), None) => Some(folder.make(weights, options.force)?),
        (None, _) => None,
    };

    job.begin(parameters, resumed.as_ref().map(|resumed| &resumed.status));
    let mut drawn = job.drawn(pictures, trainer.objective.model())?;
    let before = [trainer.state.epoch, trainer.state.batch];
    let checkpoint = folder.as_mut().map(|folder| &mut folder.checkpoint);
    let profiled = Profiled::start(options, path, &device)?;
    let fitted = job.fit(&mut trainer, &mut drawn, callbacks, checkpoint, &signals);
    let seen = profiled.map(Profiled::stop);
    let history = match fitted {
        Ok(history) => history,
        Err(error) => return Err(folder.map_or_else(|| error.clone(), |folder| folder.failure(&error, &trainer))),
    };
    let traced = seen.map_or(Ok(()), |seen| seen.report());
    if let Some(error) = drawn.take_error() {
        let place =
            path.map(|path| format!("; the rest of the run is saved in {}", path.display())).unwrap_or_default();
        return Err(Error::new(error.kind(), error.operation(), format!("{}{place}", error.message())));
    }
    let exit_code = signals.exit_code();
    let pictured = drawn.has_pictures();
    // From here on there is nothing to be saved, and a signal finds an unlocked folder.
    drop(folder);
    job.finish(&trainer, &history, &Ended { interrupted: exit_code.is_some(), callbacks_run, pictured, before })?;
    traced?;
    Ok(exit_code.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// The epochs of a run of which nothing is left to be trained.
fn complete(settings: &Settings, resumed: &Resumed) -> Option<u64> {
    let status = &resumed.status;
    let asked = settings.plan().ok()?.epochs as u64;
    // A callback may have ended it before all epochs that were asked for.
    let ended = status.phase == Phase::Complete && (asked == status.epochs || asked == status.epoch);
    ended.then_some(status.epoch)
}

/// model.json.
fn description(model: &mut Sequential, recipe: Option<String>, data: &Data, logits: bool) -> Result<String> {
    // The model is lent to what describes it.
    let mut trained = Trained::new(std::mem::take(model));
    let answers = !data.classes.is_empty() || matches!(data.input, Some(Input::Tokens(_)));
    (trained.input, trained.logits) = (data.input.clone(), logits && answers);
    trained.csv = data.csv.clone();
    trained.classes.clone_from(&data.classes);
    trained.notes.extend(recipe.map(|recipe| ("recipe".to_owned(), recipe.into())));
    let description = trained.description();
    *model = trained.model;
    description
}
