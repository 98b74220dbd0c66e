//! `kiln runs diff`: what differs between two runs.

use super::files::settled;
use super::words::duration;
use crate::drawing::short;
use crate::log::Log;
use crate::report::{line, plain};
use crate::run_folder::{CONFIG, HISTORY, name};
use crate::settings::{Difference, Leaf, Node, Settings, differences};
use crate::table::{Alignment, Table};
use kiln::Result;
use kiln::store::Store;
use kiln::trained::LoadOptions;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A run that is compared.
struct Side {
    name: String,
    settings: Vec<Leaf>,
    /// None where no epoch was completed.
    log: Option<Log>,
}

pub(super) fn run(first: &Path, second: &Path, json: bool) -> Result<()> {
    let sides = [Side::read(first)?, Side::read(second)?];
    if json {
        line(&to_json(&sides));
        return Ok(());
    }
    let names = sides.each_ref().map(|side| side.name.clone());
    let [first, second] = &sides;
    let differences = differences(&first.settings, &second.settings);
    if differences.is_empty() {
        plain("the settings are the same");
    } else {
        print(&names, "setting", differences.iter().map(|difference| (difference.path.clone(), texts(difference))));
    }
    plain("");
    print(&names, "result", results(&sides).into_iter());
    Ok(())
}

fn print(names: &[String; 2], what: &str, rows: impl Iterator<Item = (String, [String; 2])>) {
    let columns = [(what, Alignment::Left), (&*names[0], Alignment::Left), (&*names[1], Alignment::Left)];
    let rows = rows.map(|(name, [first, second])| vec![name, first, second]).collect();
    Table { columns: &columns, rows }.lines().iter().for_each(|line| plain(line));
}

impl Side {
    fn read(folder: &Path) -> Result<Side> {
        settled(&Store::new(folder), || Side::try_read(folder), Result::is_err)
    }

    fn try_read(folder: &Path) -> Result<Side> {
        let files = LoadOptions::new().files(folder)?;
        let settings = match files.has(CONFIG) {
            true => Settings::parse(&files.text(CONFIG)?, &folder.join(CONFIG))?.leaves(),
            // A model that a program has saved.
            false => Vec::new(),
        };
        let log = Log::read(&files.text(HISTORY)?, &folder.join(HISTORY))?;
        Ok(Side { name: name(folder), settings, log })
    }

    fn epochs(&self) -> usize {
        self.log.as_ref().map_or(0, Log::epochs)
    }
}

/// The values of a setting.
fn texts(difference: &Difference) -> [String; 2] {
    difference.values.each_ref().map(|node| node.as_ref().map_or_else(|| "-".to_owned(), Node::to_text))
}

/// All numbers of either history.
fn numbers(sides: &[Side; 2]) -> Vec<&str> {
    let [first, second] = sides.each_ref().map(|side| side.log.iter().flat_map(Log::numbers).collect::<Vec<_>>());
    let alone = second.iter().filter(|name| !first.contains(name));
    first.iter().chain(alone).copied().collect()
}

/// Epochs, time, and of each number the last value and the best one.
fn results(sides: &[Side; 2]) -> Vec<(String, [String; 2])> {
    let of = |text: &dyn Fn(&Log) -> Option<String>| {
        sides.each_ref().map(|side| side.log.as_ref().and_then(text).unwrap_or_else(|| "-".to_owned()))
    };
    let mut rows = vec![
        ("epochs".to_owned(), sides.each_ref().map(|side| side.epochs().to_string())),
        ("time".to_owned(), of(&|log| log.seconds().map(duration))),
    ];
    for name in numbers(sides) {
        rows.push((name.to_owned(), of(&|log| log.last(name).map(short))));
        let best = of(&|log| log.best(name).map(|(epoch, value)| format!("{} @{epoch}", short(value))));
        rows.push((format!("best {name}"), best));
    }
    rows
}

fn to_json(sides: &[Side; 2]) -> Value {
    let [first, second] = sides;
    let settings = differences(&first.settings, &second.settings).into_iter().map(|difference| {
        let [first, second] = difference.values.map(|node| node.map_or(Value::Null, |node| node.to_json()));
        (difference.path, json!([first, second]))
    });
    let settings: Map<String, Value> = settings.collect();
    let of = |value: &dyn Fn(&Log) -> Value| {
        Value::from(sides.each_ref().map(|side| side.log.as_ref().map_or(Value::Null, value)).to_vec())
    };
    let results = numbers(sides).into_iter().map(|name| {
        let best = |log: &Log| log.best(name).map(|(epoch, value)| json!({ "value": value, "epoch": epoch as u64 }));
        (name.to_owned(), json!({ "last": of(&|log| log.last(name).into()), "best": of(&|log| best(log).into()) }))
    });
    let results: Map<String, Value> = results.collect();
    json!({
        "runs": sides.each_ref().map(|side| &side.name),
        "settings": settings,
        "epochs": sides.each_ref().map(Side::epochs),
        "seconds": of(&|log| log.seconds().into()),
        "results": results,
    })
}
