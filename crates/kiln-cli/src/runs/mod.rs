//! `kiln runs`: the runs of a folder, and two of them side by side.

mod diff;
mod files;
mod find;
mod listed;
mod words;

pub(crate) use files::{history, status};

use crate::arguments::{Order, RunsCommand, RunsOptions};
use crate::drawing::short;
use crate::log::larger_is_better;
use crate::report::{line, plain, tell};
use crate::table::{Alignment, Table};
use kiln::tensor::nearest;
use kiln::{Error, Result};
use listed::{Best, Listed, Look};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use words::{ago, duration};

pub(crate) fn run(options: &RunsOptions) -> Result<()> {
    match &options.command {
        Some(RunsCommand::Diff { first, second, json }) => diff::run(first, second, *json),
        None => list(options),
    }
}

fn list(options: &RunsOptions) -> Result<()> {
    let found = find::runs(&options.folder)?;
    if found.is_empty() {
        tell(&format!("{}: there is no run in this folder", options.folder.display()));
        return Ok(());
    }
    let look = Look { check: options.check, metric: options.metric.as_deref() };
    let mut runs: Vec<Listed> = found.iter().map(|found| look.at(found)).collect();
    if let Some(metric) = look.metric {
        check_metric(metric, &runs)?;
    }
    runs.sort_by(|a, b| order(options.sort, a, b));
    if options.json {
        runs.iter().for_each(|run| line(&run.to_json()));
    } else {
        table(&runs).lines().iter().for_each(|line| plain(line));
    }
    Ok(())
}

/// Fails where no run has a number of this name, or it is not known which of its values is the best.
fn check_metric(metric: &str, runs: &[Listed]) -> Result<()> {
    let known: BTreeSet<&str> = runs.iter().flat_map(|run| &run.numbers).map(String::as_str).collect();
    let why = match known.contains(metric) {
        // While no run has an epoch, nothing is known.
        _ if known.is_empty() => return Ok(()),
        false => {
            let names = known.iter().copied().collect::<Vec<_>>().join(", ");
            let nearest = nearest(metric, known.iter().copied());
            let nearest = nearest.map(|nearest| format!("the nearest is {nearest}; ")).unwrap_or_default();
            format!("no run has this number; {nearest}there are {names}")
        }
        true if larger_is_better(metric).is_none() => {
            "it is not known whether a larger value is better, so no value is the best; leave --metric out".to_owned()
        }
        true => return Ok(()),
    };
    Err(Error::value("", format!("--metric {metric}: {why}")))
}

fn order(by: Order, a: &Listed, b: &Listed) -> Ordering {
    let first = match by {
        Order::Name => Ordering::Equal,
        Order::Time => b.saved.cmp(&a.saved),
        Order::Metric => match (&a.best, &b.best) {
            (Some(a), Some(b)) => a.name.cmp(&b.name).then_with(|| better(a, b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        },
    };
    first.then_with(|| a.name.cmp(&b.name))
}

/// The better of two values of one metric comes first.
fn better(a: &Best, b: &Best) -> Ordering {
    let smaller_first = a.value.total_cmp(&b.value);
    if a.larger_is_better { smaller_first.reverse() } else { smaller_first }
}

fn table(runs: &[Listed]) -> Table<'static> {
    const COLUMNS: [(&str, Alignment); 7] = [
        ("run", Alignment::Left),
        ("state", Alignment::Left),
        ("epochs", Alignment::Right),
        ("best", Alignment::Left),
        ("loss", Alignment::Right),
        ("time", Alignment::Right),
        ("saved", Alignment::Right),
    ];
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |run: &Listed| {
        let asked = run.asked.map(|asked| format!("/{asked}")).unwrap_or_default();
        vec![
            run.name.clone(),
            run.state.to_string(),
            or_none(run.epochs.map(|epochs| format!("{epochs}{asked}"))),
            or_none(run.best.as_ref().map(|best| format!("{} {} @{}", best.name, short(best.value), best.epoch))),
            or_none(run.loss.map(short)),
            or_none(run.seconds.map(duration)),
            or_none(run.saved.map(ago)),
        ]
    };
    Table { columns: &COLUMNS, rows: runs.iter().map(row).collect() }
}
