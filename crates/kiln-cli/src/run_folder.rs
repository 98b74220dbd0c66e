//! A run's folder: what `train --out` leaves and the other commands read.

use crate::drawing::{Curve, curves};
use crate::log::Log;
use crate::recipes::Recipe;
use clap::ValueEnum;
use kiln::nn::safetensors;
use kiln::prelude::*;
use kiln::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";
const MODEL: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
const HISTORY: &str = "history.csv";
const CURVES: &str = "curves.png";

/// What a run's folder holds.
pub(crate) const FILES: [&str; 5] = [WEIGHTS, MODEL, CONFIG, HISTORY, CURVES];

/// How a run went about it.
pub(crate) struct Config<'a> {
    pub(crate) recipe: Recipe,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) learning_rate: f64,
    pub(crate) optimizer: &'a str,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) device: &'a str,
    pub(crate) limit: Option<usize>,
    /// None is the subset that the command carries.
    pub(crate) data: Option<&'a Path>,
}

impl Config<'_> {
    fn to_toml(&self) -> String {
        // JSON's strings and numbers are TOML's too.
        let text = |text: &str| Value::from(text).to_string().replace('\u{7f}', "\\u007f");
        let limit = self.limit.map_or_else(String::new, |limit| format!("limit = {limit}\n"));
        let data = self.data.map_or_else(|| "embedded".into(), |folder| folder.to_string_lossy());
        format!(
            "recipe = {}\nseed = {}\n\n[options]\nepochs = {}\nbatch_size = {}\noptimizer = {}\nlearning_rate = {:?}\n\
             threads = {}\ndevice = {}\n{limit}data = {}\n\n[versions]\nkiln = {}\n",
            text(&self.recipe.name()),
            self.seed,
            self.epochs,
            self.batch_size,
            text(self.optimizer),
            self.learning_rate,
            self.threads,
            text(self.device),
            text(&data),
            text(env!("CARGO_PKG_VERSION")),
        )
    }
}

/// A folder that a run is to be written to. One that was made and into which nothing came is gone with this value.
pub(crate) struct Out<'a> {
    folder: &'a Path,
    made: Vec<PathBuf>,
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        // A folder that holds something stays: it cannot be removed so.
        self.made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

impl<'a> Out<'a> {
    /// Makes the folder and sees that as many bytes as the weights have can be written there: before the work, not after it.
    pub(crate) fn make(folder: &'a Path, weights: usize) -> Result<Out<'a>> {
        let failed = |what: &str, error: io::Error| {
            let message = format!("--out {}: {what}: {error}", folder.display());
            Error::new(ErrorKind::Io, "", message).with_source(error)
        };
        let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let out = Out { folder, made: missing.map(Path::to_path_buf).collect() };
        fs::create_dir_all(folder).map_err(|error| failed("this folder cannot be made", error))?;
        let probe = folder.join(format!(".kiln-{}.tmp", std::process::id()));
        let written = fill(&probe, weights);
        let _ = fs::remove_file(&probe);
        written.map_err(|error| failed("the model's weights cannot be written in this folder", error))?;
        Ok(out)
    }

    /// Writes all files, each of them whole, or none.
    pub(crate) fn save(&self, config: &Config<'_>, model: &Sequential, history: &History) -> Result<()> {
        let description = json!({
            "kiln": env!("CARGO_PKG_VERSION"),
            "recipe": config.recipe.name(),
            "architecture": model.architecture(),
            "parameters": model.parameter_count(),
        });
        let csv = history.to_csv();
        let curve = Curve { name: name(self.folder), log: Log::parse(&csv, &self.folder.join(HISTORY))? };
        safetensors::write_all_atomically(&[
            (self.folder.join(WEIGHTS), safetensors::encode(&model.state_dict())?),
            (self.folder.join(MODEL), format!("{description:#}\n").into_bytes()),
            (self.folder.join(CONFIG), config.to_toml().into_bytes()),
            (self.folder.join(CURVES), curves(&[curve])?),
            (self.folder.join(HISTORY), csv.into_bytes()),
        ])
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

fn read(folder: &Path, file: &str) -> Result<String> {
    let path = folder.join(file);
    fs::read_to_string(&path).map_err(|error| {
        let message = if folder.is_dir() {
            format!(
                "{}: cannot be read: {error}; a folder is expected that `kiln train --out` has written",
                path.display()
            )
        } else {
            format!("{}: there is no such folder; `kiln train RECIPE --out DIR` makes one", folder.display())
        };
        Error::new(ErrorKind::Io, "", message).with_source(error)
    })
}

/// The curve of a run.
pub(crate) fn curve(folder: &Path) -> Result<Curve> {
    let log = Log::parse(&read(folder, HISTORY)?, &folder.join(HISTORY))?;
    Ok(Curve { name: name(folder), log })
}

/// A trained model.
pub(crate) struct Run {
    pub(crate) recipe: Recipe,
    pub(crate) model: Sequential,
    /// model.json, which errors name.
    pub(crate) description: PathBuf,
    /// Samples a step of its training, where config.toml says it.
    pub(crate) batch_size: Option<NonZeroUsize>,
}

impl Run {
    /// The model of a run's folder, made again by model.json with the weights of model.safetensors.
    pub(crate) fn open(folder: &Path, device: &Device) -> Result<Run> {
        let description = folder.join(MODEL);
        let wrong = |why: &str| Error::new(ErrorKind::Format, "", format!("{}: {why}", description.display()));
        let text = read(folder, MODEL)?;
        let json: Value = serde_json::from_str(&text).map_err(|error| wrong(&format!("this is no JSON: {error}")))?;
        let Some(name) = json["recipe"].as_str() else { return Err(wrong("`recipe`, a name, is expected")) };
        let recipe = Recipe::from_str(name, false).map_err(|_| {
            let names: Vec<String> = Recipe::value_variants().iter().map(|recipe| recipe.name()).collect();
            wrong(&format!("recipe {name:?} is none that this version knows: {}", names.join(", ")))
        })?;
        let mut model = Sequential::from_architecture(&json["architecture"], device)
            .map_err(|error| wrong(&format!("`architecture`: {}", error.message())))?;
        let (Some(_), Some(output)) = (model.input_shape(), model.output_shapes().last()) else {
            return Err(wrong(
                "`architecture`: `input`, the sizes of a sample's axes, and at least one layer are expected",
            ));
        };
        let classes = recipe.classes().len();
        if classes > 0 && **output != [classes] {
            return Err(wrong(&format!("the model gives {output} for a sample; {name} has {classes} classes")));
        }
        safetensors::load(&mut model, folder.join(WEIGHTS))?;
        let config = fs::read_to_string(folder.join(CONFIG)).unwrap_or_default();
        let batch_size = config.lines().find_map(|line| line.strip_prefix("batch_size = ")?.trim().parse().ok());
        Ok(Run { recipe, model, description, batch_size })
    }

    /// Fails where samples are not of the shape that the model takes.
    pub(crate) fn expect_input(&self, of: &str, shape: &[usize]) -> Result<()> {
        let Some(input) = self.model.input_shape() else { return Ok(()) };
        if **input == *shape {
            return Ok(());
        }
        let shape = Shape::new(shape)?;
        let message =
            format!("{}: the model takes samples of {input}, {of} are of {shape}", self.description.display());
        Err(Error::new(ErrorKind::Shape, "", message))
    }
}
