//! `kiln runs diff`: what differs between two runs.

use super::files::settled;
use super::words::duration;
use crate::drawing::short;
use crate::log::Log;
use crate::report::{line, plain};
use crate::run_folder::{CONFIG, HISTORY, name};
use crate::settings::{Leaf, Settings};
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

/// A setting that is not the same in both.
struct Difference {
    path: String,
    values: [Option<Leaf>; 2],
}

pub(super) fn run(first: &Path, second: &Path, json: bool) -> Result<()> {
    let sides = [Side::read(first)?, Side::read(second)?];
    if json {
        line(&to_json(&sides));
        return Ok(());
    }
    let names = sides.each_ref().map(|side| side.name.clone());
    let differences = differences(&sides);
    if differences.is_empty() {
        plain("the settings are the same");
    } else {
        print(&names, "setting", differences.iter().map(|difference| (difference.path.clone(), difference.texts())));
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

    fn leaf(&self, path: &str) -> Option<&Leaf> {
        self.settings.iter().find(|leaf| leaf.path == path)
    }
}

impl Difference {
    fn texts(&self) -> [String; 2] {
        self.values.each_ref().map(|leaf| leaf.as_ref().map_or_else(|| "-".to_owned(), |leaf| leaf.node.to_text()))
    }
}

/// In the order of the first run's settings; what the second has alone follows.
fn differences([first, second]: &[Side; 2]) -> Vec<Difference> {
    let alone = second.settings.iter().filter(|leaf| first.leaf(&leaf.path).is_none());
    let paths = first.settings.iter().chain(alone).map(|leaf| &leaf.path);
    let pair = |path: &String| [first, second].map(|side| side.leaf(path).cloned());
    let differs = |[first, second]: &[Option<Leaf>; 2]| {
        let value = |leaf: &Option<Leaf>| leaf.as_ref().map(|leaf| leaf.node.to_json());
        value(first) != value(second)
    };
    paths.map(|path| Difference { path: path.clone(), values: pair(path) }).filter(|d| differs(&d.values)).collect()
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
    let settings = differences(sides).into_iter().map(|difference| {
        let [first, second] = difference.values.map(|leaf| leaf.map_or(Value::Null, |leaf| leaf.node.to_json()));
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
