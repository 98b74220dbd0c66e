//! What is to be said of a run in a list.

use super::files::{history, settled, status, text};
use super::find::Found;
use crate::log::{Log, larger_is_better};
use crate::run_folder::CONFIG;
use crate::settings::Settings;
use kiln::store::{Generation, Store};
use kiln::train::{Phase, Status};
use kiln::{Error, ErrorKind};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

/// What became of a run.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum State {
    /// A process is writing in the folder; its id, where the system tells it.
    Running(Option<u32>),
    Complete,
    Stopped,
    /// It was going on when its process ended.
    Killed,
    Diverged,
    /// Why.
    Broken(String),
}

/// The best value of a metric.
pub(super) struct Best {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) epoch: f64,
    pub(super) larger_is_better: bool,
}

/// A run of the list; what is not known is none.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) epochs: Option<u64>,
    pub(super) asked: Option<u64>,
    pub(super) best: Option<Best>,
    /// Of training and validation in the last epoch.
    pub(super) loss: Option<f64>,
    pub(super) val_loss: Option<f64>,
    pub(super) seconds: Option<f64>,
    /// When its files were last written.
    pub(super) saved: Option<SystemTime>,
    /// What its history has the values of.
    pub(super) numbers: Vec<String>,
    folder: String,
}

/// How runs are looked at.
pub(super) struct Look<'a> {
    /// Whether all files are read and their checksums compared.
    pub(super) check: bool,
    /// The number whose best value is told.
    pub(super) metric: Option<&'a str>,
}

/// What a run's files say.
#[derive(Default)]
struct Facts {
    status: Option<Status>,
    log: Option<Log>,
    asked: Option<u64>,
    /// The first thing that is wrong with them.
    fault: Option<Error>,
}

impl Look<'_> {
    pub(super) fn at(&self, found: &Found) -> Listed {
        let store = Store::new(&found.folder);
        let facts = settled(&store, || self.facts(&store), |facts| facts.fault.is_some());
        let state = match (facts.fault, store.writer(), &facts.status) {
            // Before its first checkpoint there is nothing to be read.
            (_, Some(holder), _) => State::Running(holder.process),
            (Some(fault), ..) => State::Broken(within(&found.folder, fault.message())),
            (None, None, None) => State::Complete,
            (None, None, Some(status)) => match status.phase {
                Phase::Training => State::Killed,
                Phase::Stopped => State::Stopped,
                Phase::Complete => State::Complete,
                Phase::Diverged => State::Diverged,
            },
        };
        let log = facts.log.as_ref();
        let status = facts.status.as_ref();
        Listed {
            name: found.name.clone(),
            state,
            epochs: status.map(|status| status.epoch).or_else(|| Some(log?.epochs() as u64)),
            asked: status.map(|status| status.epochs).or(facts.asked),
            best: log.and_then(|log| self.best(log)),
            loss: log.and_then(|log| log.last("loss")),
            val_loss: log.and_then(|log| log.last("val_loss")),
            seconds: status.map(|status| status.seconds).or_else(|| log?.seconds()),
            saved: std::fs::metadata(found.folder.join("manifest.json")).and_then(|file| file.modified()).ok(),
            numbers: log.map_or_else(Vec::new, |log| log.numbers().map(str::to_owned).collect()),
            folder: found.folder.display().to_string(),
        }
    }

    fn facts(&self, store: &Store) -> Facts {
        let generation = match store.current() {
            Ok(Some(generation)) => generation,
            Ok(None) => {
                let fault = Error::new(ErrorKind::Format, "", "manifest.json: this file is missing");
                return Facts { fault: Some(fault), ..Facts::default() };
            }
            Err(fault) => return Facts { fault: Some(fault), ..Facts::default() },
        };
        let mut facts = Facts::default();
        let whole = if self.check { generation.verify() } else { generation.check_lengths() };
        facts.fault = whole.err();
        match status(&generation) {
            Ok(status) => facts.status = status,
            Err(error) => facts.fault = facts.fault.or(Some(error)),
        }
        match history(store.folder(), &generation) {
            Ok(log) => facts.log = log,
            Err(error) => facts.fault = facts.fault.or(Some(error)),
        }
        facts.asked = asked(store.folder(), &generation);
        facts
    }

    /// The number that was asked for; else the first metric of the validation, of the training, or the loss.
    fn best(&self, log: &Log) -> Option<Best> {
        let name = match self.metric {
            Some(metric) => metric.to_owned(),
            None => chosen(log)?,
        };
        let (epoch, value) = log.best(&name)?;
        let larger_is_better = larger_is_better(&name)?;
        Some(Best { name, value, epoch, larger_is_better })
    }
}

/// The number that a run is told by where none is named.
fn chosen(log: &Log) -> Option<String> {
    let told = |name: &&str| log.best(name).is_some();
    let is_metric = |name: &&str| !name.ends_with("loss") && told(name);
    let validated = |name: &&str| name.starts_with("val_");
    let metric = log.numbers().filter(validated).find(is_metric).or_else(|| log.numbers().find(is_metric));
    metric.or_else(|| ["val_loss", "loss"].into_iter().find(told)).map(str::to_owned)
}

/// The epochs of the settings. Settings that cannot be read are those of another version: the run is none the worse for it.
fn asked(folder: &Path, generation: &Generation) -> Option<u64> {
    let text = text(generation, CONFIG).ok()??;
    Some(Settings::parse(&text, &folder.join(CONFIG)).ok()?.plan().ok()?.epochs as u64)
}

/// A sentence about a file of a folder, with the path from that folder.
fn within(folder: &Path, message: &str) -> String {
    let place = format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR);
    message.strip_prefix(&place).unwrap_or(message).to_owned()
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Running(Some(process)) => write!(f, "running, process {process}"),
            State::Broken(why) => write!(f, "broken: {why}"),
            state => f.write_str(state.name()),
        }
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Running(_) => "running",
            State::Complete => "complete",
            State::Stopped => "stopped",
            State::Killed => "killed",
            State::Diverged => "diverged",
            State::Broken(_) => "broken",
        }
    }
}

impl Listed {
    pub(super) fn to_json(&self) -> Value {
        let best = self.best.as_ref();
        let mut object = json!({ "run": self.name, "folder": self.folder, "state": self.state.name() });
        match &self.state {
            State::Running(process) => object["process"] = (*process).into(),
            State::Broken(why) => object["reason"] = why.as_str().into(),
            _ => {}
        }
        object["epochs"] = self.epochs.into();
        object["epochs_asked"] = self.asked.into();
        object["best"] =
            best.map(|best| json!({ "name": best.name, "value": best.value, "epoch": best.epoch as u64 })).into();
        object["loss"] = self.loss.into();
        object["val_loss"] = self.val_loss.into();
        object["seconds"] = self.seconds.into();
        let since = |saved: SystemTime| saved.duration_since(SystemTime::UNIX_EPOCH).map(|time| time.as_secs()).ok();
        object["saved"] = self.saved.and_then(since).into();
        object
    }
}
