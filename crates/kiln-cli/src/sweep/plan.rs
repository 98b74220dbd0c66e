//! What a sweep's file asks for.

use super::parameter::{Parameter, parameters};
use crate::log::larger_is_better;
use crate::recipes::Recipe;
use crate::settings::{Named, Node, Section, Settings};
use clap::ValueEnum;
use kiln::tensor::nearest;
use kiln::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::path::Path;

/// A sweep as it was asked for.
pub(super) struct Plan {
    pub(super) base: Base,
    pub(super) method: Method,
    /// The most that a trial is trained.
    pub(super) epochs: usize,
    pub(super) metric: String,
    pub(super) larger_is_better: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) pruning: Option<Pruning>,
    /// Trials that are trained at the same time.
    pub(super) parallel: usize,
    /// Of each.
    pub(super) threads: Option<usize>,
}

/// What trials are made of.
pub(super) struct Base {
    pub(super) source: Source,
    pub(super) settings: Settings,
}

pub(super) enum Source {
    Recipe(Recipe),
    File,
}

pub(super) enum Method {
    Grid,
    Random { trials: usize, seed: u64 },
    Hyperband { eta: usize, seed: u64 },
}

/// When a trial is stopped that is worse than the others.
pub(super) struct Pruning {
    /// Epochs in which none is stopped.
    pub(super) warmup: usize,
    /// Others that must have got as far.
    pub(super) trials: usize,
}

impl Plan {
    pub(super) fn read(file: &Path) -> Result<Plan> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("{}: cannot be read: {error}", file.display());
            Error::new(ErrorKind::Io, "", message).with_source(error)
        })?;
        let node = Node::parse(&text, file)?;
        let root = Section::of(&node, "")?;
        let base = Base::of(&root, file.parent().unwrap_or(Path::new("")))?;
        let method = Method::of(&need(root.named("method")?, &root, "method", "grid, random or hyperband")?)?;
        let epochs = match root.get("epochs")? {
            Some(0) => return Err(root.wrong("epochs", "at least 1 is expected")),
            Some(epochs) => epochs,
            None => base.settings.plan()?.epochs,
        };
        let metric: String = root.or("metric", "val_loss".to_owned())?;
        let larger_is_better = direction(&root, &metric)?;
        let parameters = match root.node("parameters") {
            Some(node) => parameters(node)?,
            None => return Err(root.missing("parameters", "a table of paths and values")),
        };
        let pruning = pruning(&root, &method)?;
        let parallel = at_least_one(&root, "parallel")?.unwrap_or(1);
        let threads = at_least_one(&root, "threads")?;
        root.done()?;
        if parameters.iter().any(|parameter| parameter.path == "training.epochs") {
            let why = "trials of different lengths cannot be compared; `epochs` says how long all are trained";
            return Err(Error::value("", format!("parameters.training.epochs: {why}")));
        }
        Ok(Plan { base, method, epochs, metric, larger_is_better, parameters, pruning, parallel, threads })
    }

    /// The settings of a trial.
    pub(super) fn settings(&self, choice: &[Node]) -> Result<Settings> {
        let mut settings = self.base.settings.clone();
        for (Parameter { path, .. }, value) in self.parameters.iter().zip(choice) {
            let value = value.to_toml();
            settings.set(path, &value, &format!("parameters.{path} = {value}"))?;
        }
        settings.set("training.epochs", &self.epochs.to_string(), "epochs")?;
        Ok(settings)
    }

    /// What makes it another sweep where it differs: not how many trials are trained at the same time.
    pub(super) fn to_json(&self) -> Value {
        let method = match self.method {
            Method::Grid => json!({ "name": "grid" }),
            Method::Random { trials, seed } => json!({ "name": "random", "trials": trials, "seed": seed }),
            Method::Hyperband { eta, seed } => json!({ "name": "hyperband", "eta": eta, "seed": seed }),
        };
        let pruning = self.pruning.as_ref();
        json!({
            "base": self.base.to_toml(),
            "method": method,
            "epochs": self.epochs,
            "metric": self.metric,
            "direction": if self.larger_is_better { "max" } else { "min" },
            "parameters": self.parameters.iter().map(|parameter| &parameter.path).collect::<Vec<_>>(),
            "pruning": pruning.map(|pruning| json!({ "warmup": pruning.warmup, "trials": pruning.trials })),
        })
    }
}

impl Base {
    /// The settings as they were when the sweep's file was read.
    pub(super) fn to_toml(&self) -> String {
        self.settings.to_toml(&[])
    }

    fn of(root: &Section<'_>, folder: &Path) -> Result<Base> {
        let base: String = root.need("base")?;
        if let Ok(recipe) = Recipe::from_str(&base, false) {
            return Ok(Base { source: Source::Recipe(recipe), settings: recipe.settings()? });
        }
        let file = folder.join(&base);
        if !file.exists() && !base.contains(['/', '\\', '.']) {
            let names: Vec<String> = Recipe::value_variants().iter().map(|recipe| recipe.name()).collect();
            let hint = nearest(&base, names.iter().map(String::as_str));
            let hint = hint.map(|nearest| format!("; the nearest recipe is {nearest}")).unwrap_or_default();
            return Err(root.wrong("base", &format!("{base:?} is neither a recipe nor a file{hint}")));
        }
        Ok(Base { settings: Settings::read(&file)?, source: Source::File })
    }
}

impl Method {
    fn of(named: &Named<'_>) -> Result<Method> {
        let settings = &named.settings;
        let method = match named.which("method", &["grid", "random", "hyperband"])? {
            "random" => {
                let trials = match settings.need("trials")? {
                    0 => return Err(settings.wrong("trials", "at least 1 is expected")),
                    trials => trials,
                };
                Method::Random { trials, seed: settings.or("seed", 0)? }
            }
            "hyperband" => {
                let eta = match settings.or("eta", 3)? {
                    0 | 1 => return Err(settings.wrong("eta", "at least 2 is expected")),
                    eta => eta,
                };
                Method::Hyperband { eta, seed: settings.or("seed", 0)? }
            }
            _ => Method::Grid,
        };
        settings.done()?;
        Ok(method)
    }
}

fn need<'a>(named: Option<Named<'a>>, root: &Section<'_>, key: &str, what: &str) -> Result<Named<'a>> {
    named.ok_or_else(|| root.missing(key, what))
}

fn at_least_one(section: &Section<'_>, key: &'static str) -> Result<Option<usize>> {
    match section.get(key)? {
        Some(0) => Err(section.wrong(key, "at least 1 is expected")),
        count => Ok(count),
    }
}

fn direction(root: &Section<'_>, metric: &str) -> Result<bool> {
    match root.get::<String>("direction")?.as_deref() {
        Some("max") => Ok(true),
        Some("min") => Ok(false),
        Some(other) => Err(root.wrong("direction", &format!("\"min\" or \"max\" is expected, got {other:?}"))),
        None => larger_is_better(metric).ok_or_else(|| {
            let why =
                format!("it is not known whether a larger {metric} is better: set `direction = \"max\"` or \"min\"");
            root.wrong("metric", &why)
        }),
    }
}

fn pruning(root: &Section<'_>, method: &Method) -> Result<Option<Pruning>> {
    if !root.has("pruning") {
        return Ok(None);
    }
    let section = root.section("pruning")?;
    if matches!(method, Method::Hyperband { .. }) {
        return Err(root.wrong("pruning", "Hyperband stops trials by itself: leave it out"));
    }
    let pruning = Pruning { warmup: section.or("warmup", 1)?, trials: at_least_one(&section, "trials")?.unwrap_or(4) };
    section.done()?;
    Ok(Some(pruning))
}
