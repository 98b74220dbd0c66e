//! A run's folder: what `train --out` leaves and the other commands read.

use crate::drawing::{Curve, curves};
use crate::log::Log;
use crate::recipes::Recipe;
use crate::settings::Settings;
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::nn::safetensors;
use kiln::prelude::*;
use kiln::store::{Store, Writer, write_atomically};
use kiln::trained::{LoadOptions, MODEL, WEIGHTS};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const HISTORY: &str = "history.csv";
const CURVES: &str = "curves.png";
/// What a model that makes images has made.
pub(crate) const SAMPLES: &str = "samples.png";
/// The same picture during training. It is not part of a run, so that an older run stays whole until it is replaced.
pub(crate) const PARTIAL_SAMPLES: &str = "samples.partial.png";

/// What a run's folder holds; of a model that makes images [`SAMPLES`] too.
pub(crate) const FILES: [&str; 5] = [WEIGHTS, MODEL, CONFIG, HISTORY, CURVES];

/// More than the files beside the weights take.
const ROOM: usize = 1 << 20;

/// A run's folder that is to be written: locked for other writers. One that was made and into which nothing came is removed
/// again.
pub(crate) struct Out<'a> {
    store: &'a Store,
    writer: Writer<'a>,
    _made: Made,
}

/// Folders that were made, the innermost first.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        // A folder that holds something stays: it cannot be removed so.
        self.0.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

impl<'a> Out<'a> {
    /// Makes and locks the folder, and finds out before the work whether the run can be written there: that nothing has the
    /// place of one of its files, that there is room for them, and that no other run is there (unless `force`).
    pub(crate) fn make(store: &'a Store, weights: usize, force: bool) -> Result<Out<'a>> {
        let folder = store.folder();
        let wrong = |message: String| Error::new(ErrorKind::Io, "", format!("--out {}: {message}", folder.display()));
        let failed = |what: &str, error: io::Error| wrong(format!("{what}: {error}")).with_source(error);
        let mine = |error: Error| wrong(error.message().to_owned());
        if !force && has_run(store)? {
            return Err(wrong("this folder has a run; --force replaces it, or choose another folder".to_owned()));
        }
        let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = Made(missing.map(Path::to_path_buf).collect());
        fs::create_dir_all(folder).map_err(|error| failed("this folder cannot be made", error))?;
        let writer = store.lock().map_err(mine)?;
        writer.check(FILES.into_iter().chain([SAMPLES])).map_err(mine)?;
        let probe = folder.join(format!(".kiln-{}.tmp", std::process::id()));
        let written = fill(&probe, weights + ROOM);
        let _ = fs::remove_file(&probe);
        written.map_err(|error| failed("the run cannot be written in this folder", error))?;
        Ok(Out { store, writer, _made: made })
    }

    /// Writes all files, each of them whole, or none. If that fails, the weights are written elsewhere and the error says
    /// where.
    pub(crate) fn save(&mut self, saved: &Saved<'_>) -> Result<()> {
        let weights = safetensors::encode(&saved.model.state_dict())?;
        self.write(saved, &weights).map_err(|error| {
            let rescued = match rescue(&weights) {
                Ok(path) => format!("the weights are kept in {}", path.display()),
                Err(error) => format!("and neither can the weights: {}", error.message()),
            };
            Error::new(error.kind(), error.operation(), format!("{}; {rescued}", error.message())).with_source(error)
        })
    }

    fn write(&mut self, saved: &Saved<'_>, weights: &[u8]) -> Result<()> {
        let folder = self.store.folder();
        let csv = saved.history.to_csv();
        let curve = Curve { name: name(folder), log: Log::parse(&csv, &folder.join(HISTORY))? };
        let curves = curves(&[curve])?;
        let mut files = vec![
            (WEIGHTS, weights),
            (MODEL, saved.description.as_bytes()),
            (CONFIG, saved.config.as_bytes()),
            (CURVES, &curves),
            (HISTORY, csv.as_bytes()),
        ];
        files.extend(saved.samples.as_deref().map(|samples| (SAMPLES, samples)));
        self.writer.commit(&files)?;
        // There is none in most runs.
        let _ = fs::remove_file(folder.join(PARTIAL_SAMPLES));
        Ok(())
    }
}

/// What a run's folder keeps.
pub(crate) struct Saved<'a> {
    pub(crate) model: &'a Sequential,
    /// model.json.
    pub(crate) description: &'a str,
    /// config.toml.
    pub(crate) config: &'a str,
    pub(crate) history: &'a History,
    /// What a model that makes images has made.
    pub(crate) samples: Option<Vec<u8>>,
}

/// Whether a folder has a run, or a part of one.
fn has_run(store: &Store) -> Result<bool> {
    if !store.folder().is_dir() {
        return Ok(false);
    }
    Ok(store.current()?.is_some() || FILES.iter().any(|file| store.folder().join(file).is_file()))
}

/// Writes weights where there may still be room: in the folder for temporary files, then in the current one.
fn rescue(weights: &[u8]) -> Result<PathBuf> {
    let name = format!("kiln-{}.safetensors", std::process::id());
    let path = std::env::temp_dir().join(&name);
    match write_atomically(&path, weights) {
        Ok(()) => Ok(path),
        Err(_) => write_atomically(Path::new(&name), weights).map(|()| PathBuf::from(name)),
    }
}

/// Writes a file of so many bytes, down to the disk.
fn fill(path: &Path, bytes: usize) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    io::copy(&mut io::repeat(0).take(bytes as u64), &mut file)?;
    file.sync_all()
}

/// What a run is called: its folder.
pub(crate) fn name(folder: &Path) -> String {
    let last = folder.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_owned()));
    last.map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The curve of a run.
pub(crate) fn curve(folder: &Path, accept_changed: bool) -> Result<Curve> {
    let text = LoadOptions::new().accept_changed(accept_changed).files(folder)?.text(HISTORY)?;
    Ok(Curve { name: name(folder), log: Log::parse(&text, &folder.join(HISTORY))? })
}

/// A trained model and how it was trained.
pub(crate) struct Run {
    pub(crate) trained: Trained,
    /// Of config.toml, or the recipe's; a model that was put into a folder by hand has none.
    pub(crate) settings: Option<Settings>,
    /// model.json, which errors name.
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
        Ok(Run { trained, settings, description: folder.join(MODEL) })
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
