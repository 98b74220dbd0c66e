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
use crate::goal::Training;
use crate::pool::in_pool;
use crate::report::{Report, tell};
use crate::settings::{Data, Prepared, Settings, Setup, Steps};
use crate::signals::Signals;
use folder::{Files, Folder};
use given::Given;
use job::{Ended, Job};
use kiln::prelude::*;
use kiln::store::Store;
use kiln::train::{Phase, Resumed};
use kiln::trained::Input;
use profiled::Profiled;
use ready::{Ready, ready};
use std::process::ExitCode;

pub(crate) fn run(options: &TrainOptions) -> Result<ExitCode> {
    in_pool(options.task.computing.threads, || train(options))
}

fn train(options: &TrainOptions) -> Result<ExitCode> {
    let device = options.task.computing.device.open()?;
    let Given { mut settings, data: given, resumed } = given::given(options)?;
    let report = Report::new(options);
    if let Some((folder, resumed)) = options.resume.as_deref().zip(resumed.as_ref())
        && let Some(epochs) = complete(&settings, resumed)
    {
        // After a kill in the last write, files may still have their temporary names. A folder that cannot be written stays as it is.
        drop(Store::new(folder).lock_at(&resumed.generation));
        report.complete(folder, epochs);
        return Ok(ExitCode::SUCCESS);
    }
    let signals = Signals::catch()?;
    let setup = Setup { data: given.as_deref(), device: &device, learned: None };
    let Ready { prepared, counts, name, batches } = ready(options, &settings, &setup)?;
    let Prepared { mut trainer, data, plan, mut callbacks, pictures, logits } = prepared;
    let steps = Steps { of_epoch: batches.steps as u64, all: plan.epochs.saturating_mul(batches.steps) as u64 };
    let followed = follow_schedule(&settings, steps, &mut trainer, resumed.as_ref())?;
    if let Some(path) = given.as_deref().filter(|_| settings.has_path()) {
        settings.set_data(path)?;
    }
    let path = options.resume.as_deref().or(options.out.as_deref());
    let callbacks_run = !callbacks.is_empty();
    let seed = settings.seed()?;
    let job = Job { options, device: &device, name, data: &data, plan: &plan, batches, report, seed, path };
    callbacks.extend(job.logs(&settings, trainer.objective.model())?);
    let config = job.config(&settings, counts, followed, given.as_deref());
    let description = description(trainer.objective.model_mut(), settings.recipe()?, &data, logits)?;
    let folder = path.map(|path| Folder::open(path, &plan, Files { description, config }));
    let parameters = trainer.objective.model().parameter_count();
    let mut folder = match (folder, &resumed) {
        (folder, Some(resumed)) => {
            trainer.resume_from(resumed)?;
            folder.map(|folder| folder.resume(resumed)).transpose()?
        }
        (folder, None) => folder.map(|folder| folder.make(4 * parameters, options.force)).transpose()?,
    };

    job.begin(trainer.objective.model(), resumed.as_ref().map(|resumed| &resumed.status));
    let mut drawn = job.drawn(pictures, trainer.objective.model())?;
    let before = [trainer.state.epoch, trainer.state.batch];
    let profiled = Profiled::start(options, path, &device)?;
    let fitted = job.fit(&mut trainer, &mut drawn, callbacks, folder.as_mut(), &signals);
    let seen = profiled.map(Profiled::stop);
    let history = match fitted {
        Ok(history) => history,
        Err(error) => return Err(folder.map_or_else(|| error.clone(), |folder| folder.failure(&error, &trainer))),
    };
    let traced = seen.map_or(Ok(()), |seen| seen.report());
    drawn.expect_all(path)?;
    // From here on there is nothing to be saved, and a signal finds an unlocked folder.
    drop(folder);
    // A signal that came too late to end anything is none.
    let left = history.stopped.is_some() && trainer.state.epoch < plan.epochs as u64;
    let exit_code = signals.exit_code().filter(|_| left);
    let ended = Ended { interrupted: exit_code.is_some(), callbacks_run, pictured: drawn.has_pictures(), before };
    job.finish(&trainer, &history, &ended)?;
    traced?;
    Ok(exit_code.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Gives the optimizer the schedule of the settings, and says what it is.
fn follow_schedule(
    settings: &Settings,
    steps: Steps,
    trainer: &mut Training,
    resumed: Option<&Resumed>,
) -> Result<Option<String>> {
    let Some(schedule) = settings.schedule(steps)? else { return Ok(None) };
    let followed = format!("{} over {} steps", schedule.name(), steps.all);
    trainer.optimizer = Box::new(std::mem::replace(&mut trainer.optimizer, Box::new(Sgd::new(0.0))).schedule(schedule));
    let asked = settings.plan()?.epochs as u64;
    if let Some(status) = resumed.map(|resumed| &resumed.status).filter(|status| status.epochs != asked) {
        tell(&format!(
            "the schedule was made for {} epochs and is now {followed}: the learning rate may jump",
            status.epochs
        ));
    }
    Ok(Some(followed))
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
    let answers = !data.classes.is_empty() || matches!(data.input, Some(Input::Tokens(_) | Input::Pairs(_)));
    (trained.input, trained.logits) = (data.input.clone(), logits && answers);
    trained.csv = data.csv.clone();
    trained.classes.clone_from(&data.classes);
    trained.notes.extend(recipe.map(|recipe| ("recipe".to_owned(), recipe.into())));
    let description = trained.description();
    *model = trained.model;
    description
}
