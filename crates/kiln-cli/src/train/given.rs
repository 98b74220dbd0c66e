//! The settings of a training: a recipe or a file, with what the options set.

use super::logs::setting;
use crate::arguments::TrainOptions;
use crate::settings::Settings;
use kiln::prelude::*;
use std::num::NonZeroUsize;

/// What is to be trained: a recipe or a file, with what the options set.
pub(super) fn settings(options: &TrainOptions) -> Result<Settings> {
    let mut settings = match (&options.config, options.recipe) {
        (Some(file), _) => Settings::read(file)?,
        (None, Some(recipe)) => recipe.settings()?,
        (None, None) => return Err(Error::value("", "name a recipe, or a settings file with --config FILE")),
    };
    for option in &options.set {
        let whole = format!("--set {option}");
        let Some((path, value)) = option.split_once('=') else {
            return Err(Error::value("", format!("{whole}: PATH=VALUE is expected, such as optimizer.lr=0.01")));
        };
        settings.set(path.trim(), value.trim(), &whole)?;
    }
    let mut given = |path: &str, name: &str, value: Option<String>| match value {
        Some(value) => settings.set(path, &value, &format!("--{name} {value}")),
        None => Ok(()),
    };
    let text = |value: Option<NonZeroUsize>| value.map(|value| value.to_string());
    given("training.epochs", "epochs", text(options.epochs))?;
    given("training.batch_size", "batch-size", text(options.batch_size))?;
    given("training.limit", "limit", text(options.limit))?;
    given("training.drop_last", "drop-last", options.drop_last.then(|| "true".to_owned()))?;
    given("training.log", "log", (!options.log.is_empty()).then(|| setting(&options.log)))?;
    given("optimizer.lr", "lr", options.lr.map(|lr| format!("{lr:?}")))?;
    given("seed", "seed", options.seed.map(|seed| seed.to_string()))?;
    Ok(settings)
}
