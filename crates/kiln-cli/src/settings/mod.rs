//! Settings files: what is trained on which data, and how.
//!
//! A file is read into a tree of values with their places ([`node`]), options of the command line are set into it, and each part is made
//! from its table ([`section`]), by name where there is a list to choose from.

mod choice;
mod data;
mod graph;
mod leaves;
mod loss;
mod metrics;
mod model;
mod node;
mod objective;
mod optimizer;
mod paths;
mod schedule;
mod section;
mod tokens;
mod write;

pub(crate) use data::{Data, Search};
pub(crate) use leaves::{Difference, Leaf, differences};
pub(crate) use node::{Entry, Node, Place, Table, Value};
pub(crate) use schedule::Steps;
pub(crate) use section::{Named, Section};
use tokens::Numbers;

use crate::arguments::Precision;
use crate::goal::{Goal, Training};
use crate::pictures::Pictures;
use crate::train::logs::{self, LogKind};
use kiln::ErrorKind;
use kiln::prelude::*;
use kiln::train::{Every, Mixed};
use std::path::{Path, PathBuf};

/// Epochs, samples a step, checkpoints that are kept and steps from one line of a log to the next, where the settings do not say.
const EPOCHS: usize = 10;
const BATCH: usize = 32;
const KEPT: usize = 2;
const LOG_STEPS: usize = 50;

/// The tables and values at the top of a file.
const TOP: [&str; 10] =
    ["recipe", "seed", "data", "model", "loss", "optimizer", "schedule", "metrics", "callbacks", "training"];

/// A settings file, with what the command line sets.
#[derive(Clone)]
pub(crate) struct Settings {
    root: Node,
    /// What paths are relative to.
    folder: PathBuf,
}

/// How long and in what steps is trained.
pub(crate) struct Plan {
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) drop_last: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) workers: usize,
    pub(crate) accumulate: usize,
    pub(crate) class_weight: Vec<(usize, f64)>,
    pub(crate) precision: Option<Mixed>,
    /// When checkpoints are taken, where the settings say it.
    pub(crate) checkpoint_every: Option<Every>,
    /// Checkpoints that are kept.
    pub(crate) keep_last: usize,
    /// The number by which the best one is kept.
    pub(crate) keep_best: Option<String>,
    pub(crate) log: Vec<LogKind>,
    /// Steps from one line of a log to the next.
    pub(crate) log_steps: usize,
}

/// What is trained, made ready.
pub(crate) struct Prepared {
    pub(crate) trainer: Training,
    pub(crate) data: Data,
    pub(crate) plan: Plan,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
    /// What is drawn of a model that makes images.
    pub(crate) pictures: Option<Pictures>,
    /// Whether the model gives logits of classes.
    pub(crate) logits: bool,
}

/// What things are made by, beside the settings.
pub(crate) struct Setup<'a> {
    /// `--data`.
    pub(crate) data: Option<&'a Path>,
    pub(crate) device: &'a Device,
    /// What a trained model knows: how files become samples, its classes.
    pub(crate) learned: Option<&'a Trained>,
}

impl Settings {
    /// Of a file.
    pub(crate) fn read(file: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("{}: cannot be read: {error}", file.display());
            Error::new(ErrorKind::Io, "", message).with_source(error)
        })?;
        Settings::parse(&text, file)
    }

    /// Of the text of a file.
    pub(crate) fn parse(text: &str, file: &Path) -> Result<Settings> {
        let folder = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let settings = Settings { root: Node::parse(text, file)?, folder };
        settings.check()?;
        Ok(settings)
    }

    /// Fails where there is a table at the top that has no meaning.
    fn check(&self) -> Result<()> {
        let root = self.section()?;
        for key in TOP.iter().chain(&["run"]) {
            root.node(key);
        }
        root.done()
    }

    fn section(&self) -> Result<Section<'_>> {
        Section::of(&self.root, "")
    }

    /// Sets a value: `optimizer.lr` to `0.01`; `option` is what errors name.
    pub(crate) fn set(&mut self, path: &str, value: &str, option: &str) -> Result<()> {
        self.root.set(path, value, option)?;
        self.check()
    }

    /// The recipe that it was, of a run's settings.
    pub(crate) fn recipe(&self) -> Result<Option<String>> {
        self.section()?.get("recipe")
    }

    /// Whether its data is a file or a folder.
    pub(crate) fn has_path(&self) -> bool {
        self.section().and_then(|root| root.section("data")).is_ok_and(|data| data.has("path"))
    }

    pub(crate) fn seed(&self) -> Result<u64> {
        self.section()?.or("seed", 0)
    }

    /// How long and in what steps is trained.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let training = self.section()?.section("training")?;
        let at_least_one = |key, default| match training.or(key, default)? {
            0 => Err(training.wrong(key, "at least 1 is expected")),
            count => Ok(count),
        };
        let weights: Vec<f64> = training.or("class_weight", Vec::new())?;
        let every = training
            .get::<String>("checkpoint_every")?
            .map(|every| every.parse::<Every>().map_err(|error| training.wrong("checkpoint_every", error.message())));
        let logs: Vec<String> = training.or("log", Vec::new())?;
        let plan = Plan {
            epochs: at_least_one("epochs", EPOCHS)?,
            batch_size: at_least_one("batch_size", BATCH)?,
            drop_last: training.or("drop_last", false)?,
            limit: training.has("limit").then(|| at_least_one("limit", 1)).transpose()?,
            workers: training.or("workers", 0)?,
            accumulate: at_least_one("accumulate", 1)?,
            class_weight: weights.into_iter().enumerate().collect(),
            precision: training.get::<String>("precision")?.map_or(Ok(None), |name| {
                let known = Precision::of(&name).ok_or_else(|| {
                    training.wrong("precision", &format!("\"f32\", \"bf16\" or \"f16\" is expected, got {name:?}"))
                });
                known.map(Precision::mixed)
            })?,
            checkpoint_every: every.transpose()?,
            keep_last: at_least_one("keep_last", KEPT)?,
            keep_best: training.get("keep_best")?,
            log: logs::named(&logs).map_err(|why| training.wrong("log", &why))?,
            log_steps: at_least_one("log_steps", LOG_STEPS)?,
        };
        training.done()?;
        Ok(plan)
    }

    /// Fails where a part cannot be made that is known without the data.
    pub(crate) fn check_parts(&self) -> Result<()> {
        let (root, plan) = (self.section()?, self.plan()?);
        self.seed()?;
        optimizer::optimizer(&root.named_or("optimizer", "Adam")?)?;
        if let Some(named) = root.named("loss")? {
            loss::loss(&named)?;
        }
        let of_epoch = 100;
        self.schedule(Steps { of_epoch, all: of_epoch.saturating_mul(plan.epochs as u64) })?;
        root.list("callbacks")?.iter().try_for_each(|named| metrics::callback(named).map(drop))
    }

    /// The data alone.
    pub(crate) fn data(&self, setup: &Setup<'_>) -> Result<Data> {
        data::data(&self.section()?, &self.search(setup)?)
    }

    fn search<'s>(&'s self, setup: &Setup<'s>) -> Result<Search<'s>> {
        // A file that is named to measure a trained model is not the one that it was trained on.
        let all_is_test = setup.learned.is_some() && setup.data.is_some() && self.has_path();
        let (option, folder, learned) = (setup.data, self.folder.as_path(), setup.learned);
        Ok(Search { option, folder, seed: self.seed()?, learned, all_is_test })
    }

    /// All values with their paths.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        leaves::leaves(&self.root)
    }

    /// What a run's settings say of how it was made.
    pub(crate) fn run(&self, key: &'static str) -> Result<Option<String>> {
        self.section()?.section("run")?.get(key)
    }

    /// Fails where the data of a trained model is not what it was, by the numbers of its samples: the test part may be other rows now.
    pub(crate) fn expect_counts(&self, data: &Data) -> Result<()> {
        let run = self.section()?.section("run")?;
        let counts = data.counts().map(|count| count as i64).to_vec();
        match run.get::<Vec<i64>>("samples")? {
            Some(before) if before != counts => {
                let message = format!(
                    "the data has changed since the training: there were {before:?} samples to train on, validate with and test on, \
                     now there are {counts:?}; name other data with --data"
                );
                Err(Error::value("", message))
            }
            _ => Ok(()),
        }
    }

    /// Makes all that is trained.
    pub(crate) fn prepare(&self, setup: &Setup<'_>) -> Result<Prepared> {
        let (seed, plan, data) = (self.seed()?, self.plan()?, self.data(setup)?);
        let root = Numbers::of(&data).fill(&self.root)?;
        let model = model::model(&Section::of(&root, "")?, &*data.train, setup.device, seed)?;
        self.prepared(model, data, plan, setup)
    }

    /// As [`Settings::prepare`], of a model that was trained.
    pub(crate) fn prepare_trained(&self, model: Sequential, setup: &Setup<'_>) -> Result<Prepared> {
        self.prepared(model, self.data(setup)?, self.plan()?, setup)
    }

    fn prepared(&self, model: Sequential, mut data: Data, plan: Plan, setup: &Setup<'_>) -> Result<Prepared> {
        let root = self.section()?;
        if objective::is_gan(&root)? {
            // Nothing is said of the images that it is trained on.
            (data.classes, data.input) = (Vec::new(), None);
        }
        let optimizer = self.optimizer()?;
        let (goal, logits) = objective::goal(&root, model, !data.classes.is_empty())?;
        let mut trainer = Trainer::new(goal, optimizer).precision(plan.precision);
        for named in root.list("metrics")? {
            trainer = metrics::metric(&named, trainer)?;
        }
        let callbacks = root.list("callbacks")?.iter().map(metrics::callback).collect::<Result<_>>()?;
        let pictures = objective::pictures(&root, &*data.test, setup.device, self.seed()?)?;
        Ok(Prepared { trainer, data, plan, callbacks, pictures, logits })
    }

    /// The optimizer.
    pub(crate) fn optimizer(&self) -> Result<Box<dyn Optimizer>> {
        optimizer::optimizer(&self.section()?.named_or("optimizer", "Adam")?)
    }

    /// What is trained, without its data.
    pub(crate) fn goal(&self, model: Sequential) -> Result<Box<dyn Goal>> {
        objective::goal(&self.section()?, model, false).map(|(goal, _)| goal)
    }

    /// Whether the model makes images.
    pub(crate) fn makes_images(&self) -> Result<bool> {
        objective::makes_images(&self.section()?)
    }

    /// What is drawn of a model that makes images.
    pub(crate) fn pictures(&self, setup: &Setup<'_>) -> Result<Option<Pictures>> {
        let data = self.data(setup)?;
        objective::pictures(&self.section()?, &*data.test, setup.device, self.seed()?)
    }

    /// The schedule of the learning rate.
    pub(crate) fn schedule(&self, steps: Steps) -> Result<Option<Box<dyn Schedule>>> {
        self.section()?.named("schedule")?.map(|named| schedule::schedule(&named, steps)).transpose()
    }

    /// The model before any training.
    pub(crate) fn model(&self, setup: &Setup<'_>) -> Result<Sequential> {
        let (root, seed) = (self.section()?, self.seed()?);
        let (data, numbers) = data::to_look_at(&root, &self.search(setup)?, model::learns(&root)?)?;
        let root = numbers.fill(&self.root)?;
        model::model(&Section::of(&root, "")?, &*data, setup.device, seed)
    }

    /// As TOML: the settings, with paths that do not depend on where the file lies, and a table `run` of what else there is to say.
    pub(crate) fn to_toml(&self, run: &[(&str, Value)]) -> String {
        write::toml(&self.root, &self.folder, run)
    }
}
