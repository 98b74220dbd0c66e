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
use std::io;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";
const MODEL: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";
const HISTORY: &str = "history.csv";
const CURVES: &str = "curves.png";

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

/// Makes the folder and sees that files can be written there: before the work, not after it.
pub(crate) fn make(folder: &Path) -> Result<()> {
    let failed = |what: &str, error: io::Error| {
        let message = format!("--out {}: {what}: {error}", folder.display());
        Error::new(ErrorKind::Io, "", message).with_source(error)
    };
    fs::create_dir_all(folder).map_err(|error| failed("this folder cannot be made", error))?;
    let probe = folder.join(format!(".kiln-{}.tmp", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe));
    written.map_err(|error| failed("no file can be written in this folder", error))
}

/// Writes all files, each of them whole or not at all.
pub(crate) fn save(folder: &Path, config: &Config<'_>, model: &Sequential, history: &History) -> Result<()> {
    let description = json!({
        "kiln": env!("CARGO_PKG_VERSION"),
        "recipe": config.recipe.name(),
        "architecture": model.architecture(),
        "parameters": model.parameter_count(),
    });
    let csv = history.to_csv();
    let curve = Curve { name: name(folder), log: Log::parse(&csv, &folder.join(HISTORY))? };
    let picture = curves(&[curve])?;
    // The weights first: they are what took the time.
    safetensors::save(model, folder.join(WEIGHTS))?;
    let write = |file: &str, bytes: &[u8]| safetensors::write_atomically(&folder.join(file), bytes);
    write(MODEL, format!("{description:#}\n").as_bytes())?;
    write(CONFIG, config.to_toml().as_bytes())?;
    write(HISTORY, csv.as_bytes())?;
    write(CURVES, &picture)
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
        if **output != [classes] {
            return Err(wrong(&format!("the model gives {output} for a sample; {name} has {classes} classes")));
        }
        safetensors::load(&mut model, folder.join(WEIGHTS))?;
        Ok(Run { recipe, model, description })
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
