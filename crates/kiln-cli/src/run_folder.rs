//! A run's folder: what `train --out` leaves and the other commands read.

use crate::config::Config;
use crate::drawing::{Curve, curves};
use crate::log::Log;
use crate::recipes::Recipe;
use clap::ValueEnum;
use kiln::ErrorKind;
use kiln::nn::safetensors;
use kiln::prelude::*;
use kiln::store::{Generation, Store, Writer, write_atomically};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";
const MODEL: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
const HISTORY: &str = "history.csv";
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
    /// where. `samples` is what a model that makes images has made.
    pub(crate) fn save(
        &mut self,
        config: &Config,
        model: &Sequential,
        history: &History,
        samples: Option<Vec<u8>>,
    ) -> Result<()> {
        let weights = safetensors::encode(&model.state_dict())?;
        self.write(config, model, history, samples, &weights).map_err(|error| {
            let rescued = match rescue(&weights) {
                Ok(path) => format!("the weights are kept in {}", path.display()),
                Err(error) => format!("and neither can the weights: {}", error.message()),
            };
            Error::new(error.kind(), error.operation(), format!("{}; {rescued}", error.message())).with_source(error)
        })
    }

    fn write(
        &mut self,
        config: &Config,
        model: &Sequential,
        history: &History,
        samples: Option<Vec<u8>>,
        weights: &[u8],
    ) -> Result<()> {
        let folder = self.store.folder();
        let description = json!({
            "kiln": env!("CARGO_PKG_VERSION"),
            "recipe": config.recipe,
            "architecture": model.architecture(),
            "parameters": model.parameter_count(),
        });
        let csv = history.to_csv();
        let curve = Curve { name: name(folder), log: Log::parse(&csv, &folder.join(HISTORY))? };
        let (description, config) = (format!("{description:#}\n"), config.to_toml()?);
        let curves = curves(&[curve])?;
        let mut files = vec![
            (WEIGHTS, weights),
            (MODEL, description.as_bytes()),
            (CONFIG, config.as_bytes()),
            (CURVES, &curves),
            (HISTORY, csv.as_bytes()),
        ];
        files.extend(samples.as_deref().map(|samples| (SAMPLES, samples)));
        self.writer.commit(&files)?;
        // There is none in most runs.
        let _ = fs::remove_file(folder.join(PARTIAL_SAMPLES));
        Ok(())
    }
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
fn name(folder: &Path) -> String {
    let last = folder.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_owned()));
    last.map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// A run's folder that is read: files of its current generation, whose checksums are compared.
struct Files<'a> {
    folder: &'a Path,
    /// None where files are taken as they are.
    generation: Option<Generation>,
}

impl<'a> Files<'a> {
    /// Those of a folder; `accept_changed` takes files that differ from the manifest, and a folder without one.
    fn open(folder: &'a Path, accept_changed: bool) -> Result<Files<'a>> {
        if !folder.is_dir() {
            let message =
                format!("{}: the folder does not exist; `kiln train RECIPE --out DIR` makes one", folder.display());
            return Err(Error::new(ErrorKind::Io, "", message));
        }
        let generation = if accept_changed { None } else { Store::new(folder).current()? };
        if generation.is_none() && !accept_changed {
            let message = format!(
                "{}: this folder has no manifest.json, so it is not known whether its files are a run's; \
                 --accept-changed takes them as they are",
                folder.display()
            );
            return Err(Error::new(ErrorKind::Format, "", message));
        }
        Ok(Files { folder, generation })
    }

    /// Where a file is.
    fn path(&self, file: &str) -> Result<PathBuf> {
        let Some(generation) = &self.generation else { return Ok(self.folder.join(file)) };
        generation.path(file).map_err(|error| {
            let remedy = if error.kind() == ErrorKind::Format { "; --accept-changed takes it as it is" } else { "" };
            Error::new(error.kind(), "", format!("{}{remedy}", error.message())).with_source(error)
        })
    }

    fn text(&self, file: &str) -> Result<String> {
        let path = self.path(file)?;
        fs::read_to_string(&path).map_err(|error| {
            Error::new(ErrorKind::Io, "", format!("{}: cannot be read: {error}", path.display())).with_source(error)
        })
    }
}

/// The curve of a run.
pub(crate) fn curve(folder: &Path, accept_changed: bool) -> Result<Curve> {
    let text = Files::open(folder, accept_changed)?.text(HISTORY)?;
    Ok(Curve { name: name(folder), log: Log::parse(&text, &folder.join(HISTORY))? })
}

/// A trained model.
pub(crate) struct Run {
    pub(crate) recipe: Recipe,
    pub(crate) model: Sequential,
    /// model.json, which errors name.
    pub(crate) description: PathBuf,
    /// Samples a step of its training, where there is a config.toml.
    pub(crate) batch_size: Option<usize>,
}

impl Run {
    /// The model of a run's folder, made again by model.json with the weights of model.safetensors.
    pub(crate) fn open(folder: &Path, accept_changed: bool, device: &Device) -> Result<Run> {
        let files = Files::open(folder, accept_changed)?;
        let description = folder.join(MODEL);
        let wrong = |why: &str| Error::new(ErrorKind::Format, "", format!("{}: {why}", description.display()));
        let text = files.text(MODEL)?;
        let json: Value = serde_json::from_str(&text).map_err(|error| wrong(&format!("not valid JSON: {error}")))?;
        let Some(name) = json["recipe"].as_str() else { return Err(wrong("`recipe`, a name, is expected")) };
        let recipe = Recipe::from_str(name, false).map_err(|_| {
            let names: Vec<String> = Recipe::value_variants().iter().map(|recipe| recipe.name()).collect();
            wrong(&format!("recipe {name:?} is none that this version knows: {}", names.join(", ")))
        })?;
        // Without memory for the weights: whether they are as many as this asks for is seen when they are loaded.
        let mut init = Init::new(0, device).placeholders();
        let mut model = Sequential::from_architecture_with(&json["architecture"], &mut init)
            .map_err(|error| wrong(&format!("`architecture`: {}", error.message())))?;
        let (Some(_), Some(output)) = (model.input_shape(), model.output_shapes().last()) else {
            return Err(wrong(
                "`architecture`: `input`, the sizes of a sample's axes, and at least one layer are expected",
            ));
        };
        let classes = recipe.classes().len();
        if classes > 0 && *output != [classes] {
            return Err(wrong(&format!("the model gives {output} for a sample; {name} has {classes} classes")));
        }
        safetensors::load(&mut model, files.path(WEIGHTS)?)?;
        all_finite(&model).map_err(|error| {
            Error::new(error.kind(), "", format!("{}: {}", folder.join(WEIGHTS).display(), error.message()))
        })?;
        let config = match files.text(CONFIG) {
            // A model that was put into a folder by hand has none.
            Err(_) if accept_changed && !folder.join(CONFIG).exists() => None,
            text => Some(Config::parse(&text?, &folder.join(CONFIG))?),
        };
        let batch_size = config.map(|config| config.options.batch_size);
        Ok(Run { recipe, model, description, batch_size })
    }

    /// Fails where samples are not of the shape that the model takes.
    pub(crate) fn expect_input(&self, of: &str, shape: &[usize]) -> Result<()> {
        self.expect(self.model.input_shape(), of, shape)
    }

    /// As [`Run::expect_input`], of a model that is trained on other samples than it takes.
    pub(crate) fn expect(&self, takes: Option<&Shape>, of: &str, shape: &[usize]) -> Result<()> {
        let Some(input) = takes else { return Ok(()) };
        if **input == *shape {
            return Ok(());
        }
        let shape = Shape::new(shape)?;
        let message =
            format!("{}: the model takes samples of {input}, {of} are of {shape}", self.description.display());
        Err(Error::new(ErrorKind::Shape, "", message))
    }
}

/// Fails where a weight is infinite or NaN, with the tensor's name.
fn all_finite(model: &Sequential) -> Result<()> {
    for (name, tensor) in model.state_dict() {
        let values = tensor.to_f64_vec()?;
        let bad = values.iter().filter(|value| !value.is_finite()).count();
        if bad > 0 {
            let message =
                format!("{name}: {bad} of {} values are infinite or NaN; such a model predicts nothing", values.len());
            return Err(Error::value("", message));
        }
    }
    Ok(())
}
