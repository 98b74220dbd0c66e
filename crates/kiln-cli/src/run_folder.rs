//! A run's folder: what `train --out` leaves and the other commands read.

use crate::drawing::Curve;
use crate::log::Log;
use crate::recipes::Recipe;
use crate::settings::Settings;
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::models::hub;
use kiln::prelude::*;
use kiln::store::{Store, write_atomically};
use kiln::train::Status;
use kiln::trained::{LoadOptions, MODEL, WEIGHTS};
use std::path::{Path, PathBuf};

pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const HISTORY: &str = "history.csv";
pub(crate) const CURVES: &str = "curves.png";
/// What a model that makes images has made.
pub(crate) const SAMPLES: &str = "samples.png";
/// What a run's folder holds; of a model that makes images [`SAMPLES`] too.
pub(crate) const FILES: [&str; 5] = [WEIGHTS, MODEL, CONFIG, HISTORY, CURVES];

/// Whether a folder has a run, or a part of one; one of which no step was made is none.
pub(crate) fn has_run(folder: &Path) -> Result<bool> {
    if !folder.is_dir() {
        return Ok(false);
    }
    let current = Store::new(folder).current()?;
    let status = current.as_ref().and_then(|current| current.read(Status::FILE).ok());
    if status.and_then(|status| Status::decode(&status).ok()).is_some_and(|status| status.step == 0) {
        return Ok(false);
    }
    Ok(current.is_some() || FILES.iter().any(|file| folder.join(file).is_file()))
}

/// Writes weights where there may still be room: in the folder for temporary files, then in the current one.
pub(crate) fn rescue(weights: &[u8]) -> Result<PathBuf> {
    let name = format!("kiln-{}.safetensors", std::process::id());
    let path = std::env::temp_dir().join(&name);
    match write_atomically(&path, weights) {
        Ok(()) => Ok(path),
        Err(_) => write_atomically(Path::new(&name), weights).map(|()| PathBuf::from(name)),
    }
}

/// What a run is called: its folder.
pub(crate) fn name(folder: &Path) -> String {
    let last = folder.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_owned()));
    last.map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The curve of a run.
pub(crate) fn curve(folder: &Path, accept_changed: bool) -> Result<Curve> {
    let text = LoadOptions::new().accept_changed(accept_changed).files(folder)?.text(HISTORY)?;
    let path = folder.join(HISTORY);
    let none = || Error::new(ErrorKind::Format, "", format!("{}: no epoch of this run was completed", path.display()));
    Ok(Curve { name: name(folder), log: Log::read(&text, &path)?.ok_or_else(none)? })
}

/// A trained model and how it was trained.
pub(crate) struct Run {
    pub(crate) trained: Trained,
    /// Of config.toml, or the recipe's; a model that was put into a folder by hand has none.
    pub(crate) settings: Option<Settings>,
    /// model.json, or config.json of a folder from Hugging Face's hub, which errors name.
    pub(crate) description: PathBuf,
}

impl Run {
    /// The run of a folder.
    pub(crate) fn open(folder: &Path, accept_changed: bool, device: &Device) -> Result<Run> {
        let options = LoadOptions::new().device(device).accept_changed(accept_changed);
        let trained = options.load(folder)?;
        let path = folder.join(CONFIG);
        let files = options.files(folder)?;
        let settings = match files.text(CONFIG) {
            // A model that a program has saved.
            Err(_) if !files.has(CONFIG) => {
                let recipe = trained.notes.get("recipe").and_then(|name| name.as_str());
                let recipe = recipe.and_then(|name| Recipe::from_str(name, false).ok());
                recipe.map(Recipe::settings).transpose()?
            }
            text => Some(Settings::parse(&text?, &path)?),
        };
        let described = if folder.join(MODEL).is_file() { MODEL } else { hub::CONFIG };
        Ok(Run { trained, settings, description: folder.join(described) })
    }

    /// How it was trained.
    pub(crate) fn settings(&self) -> Result<&Settings> {
        self.settings.as_ref().ok_or_else(|| {
            let message = format!(
                "{}: the folder has no {CONFIG}, so it is not known on which data the model was trained",
                self.description.display()
            );
            Error::new(ErrorKind::Format, "", message)
        })
    }

    /// Fails if a model of the hub takes text and the folder has no tokenizer that Kiln reads.
    pub(crate) fn expect_tokenizer(&self) -> Result<()> {
        let why = self.trained.notes.get("tokenizer").and_then(|why| why.as_str());
        why.map_or(Ok(()), |why| {
            let message = format!("{}: {why}", self.description.display());
            Err(Error::new(ErrorKind::Unsupported, "", message))
        })
    }

    /// What it is called: the recipe, or the model.
    pub(crate) fn name(&self) -> &str {
        self.trained.notes.get("recipe").and_then(|name| name.as_str()).unwrap_or("the model")
    }

    /// Samples a step of its training, where that is known.
    pub(crate) fn batch_size(&self) -> Result<Option<usize>> {
        self.settings.as_ref().map(|settings| settings.plan().map(|plan| plan.batch_size)).transpose()
    }

    /// Fails where samples are not of the shape that the model takes.
    pub(crate) fn expect_input(&self, of: &str, shape: &[usize]) -> Result<()> {
        expect(&self.description, self.trained.model.input_shape(), of, shape)
    }
}

/// Fails where samples are not of the shape that a model is trained on.
pub(crate) fn expect(description: &Path, takes: Option<&Shape>, of: &str, shape: &[usize]) -> Result<()> {
    let Some(input) = takes else { return Ok(()) };
    if **input == *shape {
        return Ok(());
    }
    let shape = Shape::new(shape)?;
    let message = format!("{}: the model takes samples of {input}, {of} are of {shape}", description.display());
    Err(Error::new(ErrorKind::Shape, "", message))
}
