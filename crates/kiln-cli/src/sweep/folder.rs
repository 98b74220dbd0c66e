//! The folder of a sweep: its state, and the runs of its trials.

use super::plan::Plan;
use super::search::{End, Trial};
use crate::runs::{history, status};
use kiln::store::{Holder, Store, Writer};
use kiln::train::Phase;
use kiln::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Its state.
pub(crate) const STATE: &str = "sweep.json";
pub(super) const PICTURE: &str = "sweep.png";
/// The settings that the trials are made of. Trials are trained with these, so that the sweep does not change with the file that they were
/// read from.
const BASE: &str = "base.toml";

/// The version of the state's format that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// sweep.json. What trials have reported is in their own folders.
#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    plan: Value,
    trials: Vec<Record>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    trial: usize,
    settings: Map<String, Value>,
    /// The epoch after which it was stopped, as it was worse than the others.
    pruned: Option<usize>,
    /// The ids of the processes that were started for it and are not known to have ended.
    #[serde(default)]
    processes: Vec<u32>,
}

/// The folder, locked for other sweeps.
pub(super) struct Folder {
    path: PathBuf,
    writer: Writer,
    plan: Value,
    base: String,
    records: Vec<Record>,
}

impl Folder {
    /// Makes and locks the folder; a sweep that is there must be this one.
    pub(super) fn open(store: &Store, plan: &Plan, trials: &[Trial]) -> Result<Folder> {
        let path = store.folder().to_path_buf();
        let of = |(place, trial): (usize, &Trial)| {
            let paths = plan.parameters.iter().map(|parameter| parameter.path.clone());
            let settings = paths.zip(trial.choice.iter().map(|value| value.to_json())).collect();
            Record { trial: place + 1, settings, pruned: None, processes: Vec::new() }
        };
        let records: Vec<Record> = trials.iter().enumerate().map(of).collect();
        let found = read(store)?;
        match &found {
            Some(state) => same(&path, state, &plan.to_json(), &records)?,
            None => expect_empty(&path)?,
        }
        let writer = store.create().map_err(|error| Error::new(error.kind(), "", error.message()))?;
        let is_new = found.is_none();
        let records = found.map_or(records, |state| state.trials);
        let mut folder = Folder { path, writer, plan: plan.to_json(), base: plan.base.to_toml(), records };
        if is_new {
            folder.save(None)?;
        }
        Ok(folder)
    }

    /// Writes the state, and the picture where there is one.
    pub(super) fn save(&mut self, picture: Option<&[u8]>) -> Result<()> {
        let state = State { format: FORMAT, plan: self.plan.clone(), trials: self.records.clone() };
        let text = serde_json::to_string_pretty(&state)
            .map_err(|error| Error::new(ErrorKind::Format, "", format!("{STATE}: {error}")).with_source(error))?;
        let mut files = vec![(STATE, text.as_bytes()), (BASE, self.base.as_bytes())];
        files.extend(picture.map(|picture| (PICTURE, picture)));
        self.writer.commit(&files).map(drop)
    }

    /// Takes down that a trial was stopped, before it is.
    pub(super) fn prune(&mut self, trial: usize, epoch: usize) -> Result<()> {
        self.records[trial].pruned = Some(epoch);
        self.save(None)
    }

    /// Takes down which process was started for a trial.
    pub(super) fn started(&mut self, trial: usize, process: u32) -> Result<()> {
        self.records[trial].processes.push(process);
        self.save(None)
    }

    /// Forgets a trial's process that has ended; the file says so when it is written next.
    pub(super) fn ended(&mut self, trial: usize, process: u32) {
        self.records[trial].processes.retain(|&other| other != process);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The settings that the trials are made of.
    pub(super) fn base(&self) -> PathBuf {
        self.path.join(BASE)
    }

    pub(super) fn trials(&self) -> Range<usize> {
        0..self.records.len()
    }

    pub(super) fn path_of(&self, trial: usize) -> PathBuf {
        self.path.join(self.name_of(trial))
    }

    /// `trial-007`
    pub(super) fn name_of(&self, trial: usize) -> String {
        let digits = self.records.len().to_string().len().max(3);
        format!("trial-{:0digits$}", trial + 1)
    }

    /// Whether a trial has a run to resume.
    pub(super) fn has(&self, trial: usize) -> bool {
        !matches!(Store::new(self.path_of(trial)).current(), Ok(None))
    }

    /// Takes down what a trial's folder tells of it, unless it is known how it ended.
    pub(super) fn recall(&self, place: usize, trial: &mut Trial, metric: &str) {
        if trial.end.is_some() {
            return;
        }
        trial.end = self.records[place].pruned.map(|_| End::Pruned);
        let path = self.path_of(place);
        // A run that cannot be read is left to its own process, which says what is wrong.
        let Ok(Some(generation)) = Store::new(&path).current() else { return };
        let status = status(&generation).ok().flatten();
        if let Ok(Some(log)) = history(&path, &generation) {
            let points = log.points(metric).into_iter().map(|(epoch, value)| (epoch as usize, value));
            // Where it was stopped in an epoch, the history has a part of that.
            let whole = |&(epoch, _): &(usize, f64)| status.as_ref().is_none_or(|status| epoch as u64 <= status.epoch);
            trial.values = points.filter(whole).collect();
        }
        let Some(status) = status else { return };
        let ended = match status.phase {
            Phase::Diverged => Some(End::Diverged),
            // By a callback.
            Phase::Complete if status.epoch < status.epochs => Some(End::Complete),
            _ => None,
        };
        trial.end = trial.end.take().or(ended);
    }

    /// The process that is training a trial, and whether this sweep has started it, in this run of the command or before.
    pub(super) fn holder(&self, trial: usize) -> Option<(Holder, bool)> {
        let holder = Store::new(self.path_of(trial)).writer()?;
        let is_own = holder.process.is_some_and(|process| self.records[trial].processes.contains(&process));
        Some((holder, is_own))
    }
}

fn read(store: &Store) -> Result<Option<State>> {
    let Some(generation) = store.current()? else { return Ok(None) };
    let path = store.folder().join(STATE);
    if !generation.has(STATE) {
        return Err(failed(store.folder(), "this folder has a run; choose another one with --out"));
    }
    let wrong = |why: String| Error::new(ErrorKind::Format, "", format!("{}: {why}", path.display()));
    let value: Value = serde_json::from_slice(&generation.read(STATE)?)
        .map_err(|error| wrong(format!("this is not JSON: {error}")))?;
    if let Some(format) = value["format"].as_u64().filter(|format| *format > u64::from(FORMAT)) {
        return Err(wrong(format!("format {format} is newer than this version of Kiln reads ({FORMAT})")));
    }
    serde_json::from_value(value).map(Some).map_err(|error| wrong(format!("this is not the state of a sweep: {error}")))
}

/// Fails where a folder has another sweep; says what is different.
fn same(folder: &Path, there: &State, plan: &Value, records: &[Record]) -> Result<()> {
    let keys = plan.as_object().into_iter().flat_map(Map::keys);
    let mut different: Vec<String> =
        keys.filter(|key| there.plan[*key] != plan[*key]).map(|key| format!("`{key}`")).collect();
    let settings = |records: &[Record]| records.iter().map(|record| record.settings.clone()).collect::<Vec<_>>();
    // Numbers as they are read again.
    let expected = serde_json::to_string(records).and_then(|text| serde_json::from_str::<Vec<Record>>(&text));
    if different.is_empty() && !expected.is_ok_and(|expected| settings(&there.trials) == settings(&expected)) {
        different.push("values of the parameters".to_owned());
    }
    if different.is_empty() {
        return Ok(());
    }
    let different = different.join(", ");
    let message = format!("this folder has another sweep, with other {different}; choose another folder with --out");
    Err(failed(folder, &message))
}

fn expect_empty(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(folder, &format!("this folder cannot be read: {error}"))),
    };
    // A lock may be left.
    match entries.flatten().find(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
        None => Ok(()),
        Some(other) => {
            let name = other.file_name().to_string_lossy().into_owned();
            Err(failed(folder, &format!("this folder has {name} and no sweep; choose another one with --out")))
        }
    }
}

pub(super) fn failed(folder: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Io, "", format!("{}: {why}", folder.display()))
}
