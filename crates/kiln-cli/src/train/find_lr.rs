//! `kiln find-lr`.

use super::given;
use super::ready::{Ready, fit_options, ready};
use crate::arguments::{FindLrOptions, TrainOptions};
use crate::drawing::{rates, short_rate};
use crate::pool::in_pool;
use crate::report::{line, plain, tell};
use crate::settings::{Prepared, Setup};
use crate::signals::Signals;
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::write_atomically;
use kiln::train::LearningRates;
use serde_json::json;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(options: &FindLrOptions) -> Result<ExitCode> {
    in_pool(options.task.computing.threads, || find(options))
}

fn find(options: &FindLrOptions) -> Result<ExitCode> {
    let finder = LearningRateFinder::new().min(options.min).max(options.max).steps(options.steps.get());
    finder.check().map_err(|error| Error::new(error.kind(), "", error.message()))?;
    check_place(&options.out)?;
    let training = options.training();
    let device = options.task.computing.device.open()?;
    let settings = given::given(&training)?.settings;
    let signals = Signals::catch()?;
    let setup = Setup { data: options.task.data.as_deref(), device: &device, learned: None };
    let Ready { prepared, name, batches, .. } = ready(&training, &settings, &setup)?;
    let Prepared { mut trainer, data, plan, .. } = prepared;
    let fit = fit_options(&plan, &batches, settings.seed()?).stop(signals.stop());
    let fit =
        if options.json { fit.quiet() } else { fit.progress(ProgressBar::new().unit(data.called).epoch_lines(false)) };
    let found = trainer.find_learning_rate(&*data.train, fit, &finder)?;
    if let Some(exit_code) = signals.exit_code() {
        tell(&format!("interrupted after step {} of {}: nothing is drawn", found.points.len(), options.steps));
        return Ok(ExitCode::from(exit_code));
    }
    write_atomically(&options.out, &rates(&found, &name)?)?;
    if options.json {
        line(&object(options, &found));
    } else {
        say(options, &training, &found, &name);
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a place where the picture cannot be, before the work.
fn check_place(out: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorKind::Io, "", format!("--out {}: {why}", out.display())));
    if out.is_dir() {
        return refused("this is a folder: name a PNG file".to_owned());
    }
    match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            refused(format!("the folder {} is not there", folder.display()))
        }
        _ => Ok(()),
    }
}

fn say(options: &FindLrOptions, training: &TrainOptions, found: &LearningRates, name: &str) {
    let (first, last) = (found.points.first(), found.points.last());
    if let (Some(first), Some(last)) = (first, last) {
        let ended = if found.diverged { ", where the loss diverged" } else { "" };
        let (steps, from, to) = (found.points.len(), short_rate(first.rate), short_rate(last.rate));
        plain(&format!("{name}: {steps} steps with learning rates from {from} to {to}{ended}"));
    }
    let steepest =
        found.steepest().map_or_else(String::new, |rate| format!("; it falls fastest at {}", short_rate(rate)));
    match found.suggestion() {
        Some(rate) => {
            let rate = short_rate(rate);
            plain(&format!("suggested learning rate: {rate}, in the middle of the loss's longest fall{steepest}"));
            plain(&train_command(training, &rate));
        }
        None => plain("the loss has not fallen at any rate: try other values of --min and --max, or more --steps"),
    }
    plain(&format!("drawn to {}", options.out.display()));
}

/// The command that trains the same with a learning rate, as a shell takes it.
fn train_command(training: &TrainOptions, rate: &str) -> String {
    let text = |path: &PathBuf| path.display().to_string();
    let given = |name: &'static str, value: Option<String>| value.map(|value| [name.to_owned(), value]);
    let device =
        training.task.computing.device.open().map_or_else(|_| "cpu".to_owned(), |device| device.name().to_owned());
    let options = [
        given("--config", training.task.config.as_ref().map(text)),
        given("--text", training.task.text.as_ref().map(text)),
        given("--batch-size", training.task.batch_size.map(|size| size.to_string())),
        given("--precision", training.task.precision.map(|precision| precision.name().to_owned())),
        given("--seed", training.task.seed.map(|seed| seed.to_string())),
        given("--device", Some(device).filter(|device| device != "cpu")),
        given("--data", training.task.data.as_ref().map(text)),
    ];
    let set = training.task.set.iter().map(|set| ["--set".to_owned(), set.clone()]);
    let words = training.task.recipe.map(|recipe| recipe.name()).into_iter();
    let words = words.chain(options.into_iter().flatten().chain(set).flatten());
    words.fold("kiln train".to_owned(), |command, word| format!("{command} {}", quoted(&word))) + " --lr " + rate
}

/// A word of a command line, in single quotes where a shell would read it otherwise.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

fn object(options: &FindLrOptions, found: &LearningRates) -> serde_json::Value {
    let points = found.points.iter();
    let points: Vec<_> =
        points.map(|point| json!({ "lr": point.rate, "loss": point.loss, "smoothed": point.smoothed })).collect();
    json!({
        "result": "find-lr",
        "suggestion": found.suggestion(),
        "steepest": found.steepest(),
        "diverged": found.diverged,
        "picture": options.out,
        "points": points,
    })
}
