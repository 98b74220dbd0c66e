//! What is said of trials: a line when one ends, and all of them at the end.

use super::folder::{Folder, PICTURE};
use super::search::{End, Search, Trial};
use super::work::Ended;
use crate::drawing::{Coordinates, Path as Drawn, Scale, coordinates, short};
use crate::report::{line, plain, prose, tell};
use crate::settings::Node;
use crate::table::{Alignment, Table};
use kiln::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How a sweep reports.
pub(super) struct Outcome<'a> {
    pub(super) metric: &'a str,
    /// Of the parameters.
    pub(super) paths: Vec<&'a str>,
    /// Whether a parameter is spread by its logarithm.
    pub(super) logs: Vec<bool>,
    pub(super) json: bool,
}

impl Outcome<'_> {
    /// Prints what a trial has reached when its process ends.
    pub(super) fn trial(&self, place: usize, search: &Search, folder: &Folder) {
        if self.json {
            line(&self.object(place, search));
            return;
        }
        let trial = &search.trials[place];
        let best = search.best(place, search.epochs);
        let best = best.map_or_else(|| "none".to_owned(), |(epoch, value)| format!("{} @{epoch}", short(value)));
        let values = self.paths.iter().zip(&trial.choice).map(|(path, value)| format!("  {path}={}", value.to_text()));
        let (metric, name, state) = (self.metric, folder.name_of(place), state(place, search));
        let values: String = values.collect();
        prose(&format!("{name}  {metric} {best}  {}/{} epochs  {state}{values}", trial.reached(), search.epochs));
    }

    fn object(&self, place: usize, search: &Search) -> Value {
        let trial = &search.trials[place];
        let best = search.best(place, search.epochs);
        let settings = self.paths.iter().zip(&trial.choice).map(|(path, value)| ((*path).to_owned(), value.to_json()));
        let settings: Map<String, Value> = settings.collect();
        let mut object = json!({ "trial": place + 1, "state": word(place, search), "epochs": trial.reached() });
        object[self.metric] = best.map(|(_, value)| value).into();
        object["best_epoch"] = best.map(|(epoch, _)| epoch).into();
        if let Some(End::Failed(why)) = &trial.end {
            object["error"] = why.as_str().into();
        }
        object["settings"] = settings.into();
        object
    }

    /// Trials that have reported a number, the best one first.
    fn ranking(&self, search: &Search) -> Vec<(usize, usize, f64)> {
        let told = |place| search.best(place, search.epochs).map(|(epoch, value)| (place, epoch, value));
        let mut told: Vec<(usize, usize, f64)> = (0..search.trials.len()).filter_map(told).collect();
        told.sort_by(|a, b| search.order(a.2, b.2).then(a.0.cmp(&b.0)));
        told
    }

    /// The table or the result, and where to go on after an interruption.
    pub(super) fn finish(&self, search: &Search, folder: &Folder, time: Duration, ended: Ended) -> Result<()> {
        let ranking = self.ranking(search);
        let done = match ended {
            Ended::Done => search.trials.len(),
            Ended::Interrupted => search.trials.iter().filter(|trial| is_done(trial, search)).count(),
        };
        if self.json {
            let best = ranking.first().map(|(place, ..)| self.object(*place, search));
            let mut result = json!({ "result": "sweep", "trials": search.trials.len(), "done": done, "best": best });
            result["seconds"] = time.as_secs_f64().into();
            if ended == Ended::Interrupted {
                result["interrupted"] = true.into();
            }
            line(&result);
        } else if !ranking.is_empty() {
            plain("");
            self.table(&ranking, search, folder).iter().for_each(|line| plain(line));
            prose(&format!("drawn to {}", folder.path().join(PICTURE).display()));
        }
        if ended == Ended::Interrupted {
            let (all, place) = (search.trials.len(), folder.path().display());
            tell(&format!(
                "interrupted: {done} of {all} trials are done and the others saved in {place}; the same command goes on"
            ));
        } else if ranking.is_empty() {
            let why = search.failures().next().map_or("none has reported a finite number", |(_, why)| why);
            return Err(Error::new(ErrorKind::Value, "", format!("no trial went well: {why}")));
        }
        Ok(())
    }

    /// The trials in order; those that ended without a number follow.
    fn table(&self, ranking: &[(usize, usize, f64)], search: &Search, folder: &Folder) -> Vec<String> {
        let fixed = [("trial", Alignment::Left), (self.metric, Alignment::Right), ("epoch", Alignment::Right)];
        let fixed = fixed.into_iter().chain([("epochs", Alignment::Right), ("state", Alignment::Left)]);
        let columns: Vec<(&str, Alignment)> =
            fixed.chain(self.paths.iter().map(|path| (*path, Alignment::Left))).collect();
        let ended = |place: &usize| search.trials[*place].end.is_some();
        let told = |place: &usize| ranking.iter().any(|(other, ..)| other == place);
        let without = (0..search.trials.len()).filter(|place| ended(place) && !told(place));
        let row = |place: usize| {
            let trial = &search.trials[place];
            let best = search.best(place, search.epochs).map(|(epoch, value)| [short(value), epoch.to_string()]);
            let [value, epoch] = best.unwrap_or_else(|| ["-".to_owned(), "-".to_owned()]);
            let fixed = [folder.name_of(place), value, epoch, trial.reached().to_string(), state(place, search)];
            fixed.into_iter().chain(trial.choice.iter().map(Node::to_text)).collect()
        };
        let rows = ranking.iter().map(|(place, ..)| *place).chain(without).map(row).collect();
        Table { columns: &columns, rows }.lines()
    }

    /// The picture, where a trial has reported a number.
    pub(super) fn picture(&self, search: &Search) -> Result<Option<Vec<u8>>> {
        let ranking = self.ranking(search);
        if ranking.is_empty() {
            return Ok(None);
        }
        let scale = |place: usize| {
            let values = ranking.iter().map(|(trial, ..)| &search.trials[*trial].choice[place]);
            let values: Vec<_> = values.map(|value| (value.to_text(), value.to_json().as_f64())).collect();
            Scale::of(&values, self.logs[place])
        };
        let mut scales: Vec<(String, Scale)> =
            self.paths.iter().enumerate().map(|(place, path)| ((*path).to_owned(), scale(place))).collect();
        let values: Vec<f64> = ranking.iter().map(|(.., value)| *value).collect();
        scales.push((self.metric.to_owned(), Scale::of_results(&values)));
        let path = |&(place, _, value): &(usize, usize, f64)| {
            let trial = &search.trials[place];
            let place_of = |(value, (_, scale)): (&Node, &(String, Scale))| {
                scale.place(&value.to_text(), value.to_json().as_f64())
            };
            let mut places: Vec<f64> = trial.choice.iter().zip(&scales).map(place_of).collect();
            places.extend(scales.last().map(|(_, scale)| scale.place("", Some(value))));
            Drawn { places, whole: trial.reached() >= search.epochs || trial.end == Some(End::Complete) }
        };
        let paths = ranking.iter().map(path).collect();
        coordinates(&Coordinates { scales, paths }).map(Some)
    }
}

/// Whether a trial is trained no further.
fn is_done(trial: &Trial, search: &Search) -> bool {
    !trial.running && (trial.end.is_some() || trial.reached() >= search.epochs)
}

/// What became of a trial, with the reason.
fn state(place: usize, search: &Search) -> String {
    match &search.trials[place].end {
        Some(End::Failed(why)) => format!("failed: {why}"),
        _ => word(place, search).to_owned(),
    }
}

fn word(place: usize, search: &Search) -> &'static str {
    let trial = &search.trials[place];
    match &trial.end {
        Some(End::Complete) => "complete",
        Some(End::Pruned) => "pruned",
        Some(End::Diverged) => "diverged",
        Some(End::Failed(_)) => "failed",
        None if trial.reached() >= search.epochs => "complete",
        // Hyperband may let it go on.
        None => "stopped",
    }
}
