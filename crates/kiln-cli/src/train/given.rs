//! The settings of a training: a recipe, a file or a run that goes on, with what the options set.

use super::folder::at;
use super::logs::setting;
use crate::arguments::{Precision, TrainOptions};
use crate::report::tell;
use crate::run_folder::CONFIG;
use crate::settings::{Difference, Leaf, Node, Settings, differences};
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::store::{CHECKPOINTS, Store};
use kiln::train::{Phase, Resumed};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// What is to be trained.
pub(super) struct Given {
    pub(super) settings: Settings,
    /// The folder that the data is looked for in first.
    pub(super) data: Option<PathBuf>,
    /// The checkpoint of the run that goes on.
    pub(super) resumed: Option<Resumed>,
}

/// What may be other than it was in a run that goes on: it does not change the steps that are made.
const FREE: [&str; 7] = [
    "training.epochs",
    "training.checkpoint_every",
    "training.keep_last",
    "training.keep_best",
    "training.workers",
    "training.log",
    "training.log_steps",
];

/// What the options ask for.
pub(super) fn given(options: &TrainOptions) -> Result<Given> {
    if let Some(folder) = &options.resume {
        return resumed(options, folder);
    }
    let mut settings = match (&options.task.config, options.task.recipe) {
        (Some(file), _) => Settings::read(file)?,
        (None, Some(recipe)) => recipe.settings()?,
        (None, None) => return Err(Error::value("", "name a recipe, or a settings file with --config FILE")),
    };
    apply(options, &mut settings)?;
    Ok(Given { settings, data: options.task.data.clone(), resumed: None })
}

/// A run that goes on, with its own settings.
fn resumed(options: &TrainOptions, folder: &Path) -> Result<Given> {
    let store = Store::new(folder);
    if let Some(writer) = store.writer() {
        let message = format!("--resume {}: {writer} is writing here; wait until it ends", folder.display());
        return Err(Error::new(ErrorKind::Io, "", message));
    }
    expect_no_checkpoint(folder)?;
    let resumed = Resumed::read(folder)?;
    let text = resumed.generation.read(CONFIG)?;
    let text = String::from_utf8_lossy(&text);
    let mut settings = Settings::parse(&text, &folder.join(CONFIG))?;
    let before = settings.leaves();
    apply(options, &mut settings)?;
    let mut differences = changed(&before, &settings.leaves());
    if let Some(recipe) = options.task.recipe.and_then(|recipe| recipe.to_possible_value()) {
        let own = settings.recipe()?.unwrap_or_else(|| "a settings file".to_owned());
        if own != recipe.get_name() {
            differences.push(format!("it is of {own}, not of {}", recipe.get_name()));
        }
    }
    if let Some(out) = options.out.as_deref().filter(|out| !is_same(out, folder)) {
        differences.push(format!("it is in {}, not in {}", folder.display(), out.display()));
    }
    if !differences.is_empty() {
        let message = format!(
            "--resume {}: a run goes on with its own settings, and these are others: {}; leave the options out, or train another run",
            folder.display(),
            differences.join(", ")
        );
        return Err(Error::value("", message));
    }
    let wrong = |message: String| Error::value("", format!("--resume {}: {message}", folder.display()));
    let status = &resumed.status;
    let epochs = settings.plan()?.epochs as u64;
    if epochs < status.epoch {
        return Err(wrong(format!("{} epochs are completed, and {epochs} are asked for", status.epoch)));
    }
    if epochs == status.epoch && status.batch > 0 {
        let message =
            format!("epoch {} has begun, and {epochs} epochs are asked for: --epochs {0} or more", epochs + 1);
        return Err(wrong(message));
    }
    if status.phase == Phase::Diverged {
        let kept = match status.epoch {
            0 => String::new(),
            epoch => format!("; the weights of epoch {epoch} are in it"),
        };
        let message = format!(
            "the loss became NaN or infinite in epoch {}, and would again: train another run with a smaller learning rate{kept}",
            status.epoch + 1
        );
        return Err(wrong(message));
    }
    for error in &resumed.skipped {
        tell(&format!("damaged: {}", error.message()));
    }
    if !resumed.skipped.is_empty() {
        tell(&format!("the checkpoint before is used, {}", at(status)));
    }
    let data = options.task.data.clone().or(settings.run("data_folder")?.map(PathBuf::from));
    Ok(Given { settings, data, resumed: Some(resumed) })
}

/// Refuses a checkpoint that a run keeps: its files are those of the run, and what is written there would be removed with it.
fn expect_no_checkpoint(folder: &Path) -> Result<()> {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let all = whole.parent().filter(|parent| parent.file_name().is_some_and(|name| name == CHECKPOINTS));
    let Some(run) = all.and_then(Path::parent).filter(|run| run.join("manifest.json").exists()) else { return Ok(()) };
    let message = format!(
        "--resume {}: this is a checkpoint of {}; copy the folder to resume from it, or resume the run itself",
        folder.display(),
        run.display()
    );
    Err(Error::value("", message))
}

/// Sets what the options say.
fn apply(options: &TrainOptions, settings: &mut Settings) -> Result<()> {
    if let Some(file) = &options.task.text {
        settings.set_text(file)?;
    }
    if let Some(file) = &options.task.data {
        settings.set_table(file)?;
    }
    for option in &options.task.set {
        let whole = format!("--set {option}");
        let Some((path, value)) = option.split_once('=') else {
            return Err(Error::value("", format!("{whole}: PATH=VALUE is expected, such as optimizer.lr=0.01")));
        };
        settings.set(path.trim(), value.trim(), &whole)?;
    }
    let has_precision = settings.plan()?.precision.is_some();
    let mut given = |path: &str, name: &str, value: Option<String>| match value {
        Some(value) => settings.set(path, &value, &format!("--{name} {value}")),
        None => Ok(()),
    };
    let text = |value: Option<NonZeroUsize>| value.map(|value| value.to_string());
    let quoted = |value: &Option<String>| value.as_ref().map(|value| format!("{value:?}"));
    given("training.epochs", "epochs", text(options.epochs))?;
    given("training.batch_size", "batch-size", text(options.task.batch_size))?;
    // f32 is what there is without the setting.
    let precision = options.task.precision.filter(|&precision| precision != Precision::F32 || has_precision);
    let precision = precision.map(|precision| format!("{:?}", precision.name()));
    given("training.precision", "precision", precision)?;
    given("training.limit", "limit", text(options.limit))?;
    given("training.drop_last", "drop-last", options.drop_last.then(|| "true".to_owned()))?;
    given("training.checkpoint_every", "checkpoint-every", quoted(&options.checkpoint_every))?;
    given("training.keep_last", "keep-last", text(options.keep_last))?;
    given("training.keep_best", "keep-best", quoted(&options.keep_best))?;
    given("training.log", "log", (!options.log.is_empty()).then(|| setting(&options.log)))?;
    given("optimizer.lr", "lr", options.lr.map(|lr| format!("{lr:?}")))?;
    given("seed", "seed", options.task.seed.map(|seed| seed.to_string()))
}

/// The settings that changed, except those that may change: `optimizer.lr is 0.001, not 0.1`.
fn changed(before: &[Leaf], now: &[Leaf]) -> Vec<String> {
    let text =
        |node: &Option<Node>| node.as_ref().map_or_else(|| "not set".to_owned(), |node| node.to_json().to_string());
    let within =
        |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let mut changed = differences(before, now);
    changed.retain(|change| !FREE.iter().chain(&["run"]).any(|free| within(&change.path, free)));
    changed.sort_by(|a, b| a.path.cmp(&b.path));
    let sentence = |Difference { path, values: [old, new] }| format!("{path} is {}, not {}", text(&old), text(&new));
    changed.into_iter().map(sentence).collect()
}

/// Whether two paths are of the same folder.
fn is_same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().ok().is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}
