//! Tables in CSV files.

use super::super::node::{Node, Value};
use super::super::section::{Section, Setting};
use super::parts::{Opened, Parts, Rows};
use super::{Data, Search};
use kiln::datasets::{CsvDataset, Encoding};
use kiln::prelude::*;
use kiln::trained::Input;

/// Numbers of a table that is taken into memory, at most: an epoch then reads no file.
const MOST_IN_MEMORY: usize = 1 << 22;

pub(super) fn data(settings: &Section<'_>, search: &Search<'_>) -> Result<Data> {
    let (table, target) = (table(settings)?, settings.need::<String>("target")?);
    let opened = Opened::new(settings, search, Rows::File)?;
    let is_class = table.is_classification(&opened.all)?;
    let Parts { train, validation, test } = opened.parts(is_class.then_some(&*target))?;
    settings.done()?;
    let encoder = match search.input() {
        Some(Input::Table(encoder)) => encoder.clone(),
        _ => table.fit(&train)?,
    };
    let of = |csv: &Csv| encoder.dataset(csv).and_then(in_memory);
    Ok(Data {
        validation: validation.as_ref().map(of).transpose()?,
        classes: encoder.class_names().unwrap_or_default().to_vec(),
        csv: opened.options,
        ..Data::new("rows", [of(&train)?, of(&test)?], opened.path)
    }
    .with(Input::Table(encoder)))
}

/// A small table as tensors; a large one stays in its file.
fn in_memory(data: CsvDataset) -> Result<Box<dyn Dataset>> {
    let numbers = data.len().saturating_mul(data.input_shape().iter().product::<usize>().max(1));
    if numbers > MOST_IN_MEMORY { Ok(Box::new(data)) } else { Ok(Box::new(data.load()?)) }
}

/// What is done about missing values: a word, or `{ value = 0 }`.
struct Filled(Missing);

impl Setting for Filled {
    fn of(node: &Node) -> Option<Self> {
        let missing = match &node.value {
            Value::Text(word) => match word.as_str() {
                "refuse" => Missing::Refuse,
                "drop-row" => Missing::DropRow,
                "mean" => Missing::Mean,
                "median" => Missing::Median,
                "mode" => Missing::Mode,
                _ => return None,
            },
            Value::Table(entries) => match entries.as_slice() {
                [entry] if entry.key == "value" => match &entry.node.value {
                    Value::Text(text) => Missing::constant(text),
                    Value::Integer(number) => Missing::constant(number),
                    Value::Float(number) => Missing::constant(number),
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        Some(Filled(missing))
    }
    fn expected() -> String {
        "\"refuse\", \"drop-row\", \"mean\", \"median\", \"mode\" or { value = … }".to_owned()
    }
}

/// How a column of categories is encoded.
struct Encoded(Encoding);

impl Setting for Encoded {
    fn of(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Text(word) if word == "one-hot" => Some(Encoded(Encoding::OneHot)),
            Value::Text(word) if word == "index" => Some(Encoded(Encoding::Index)),
            _ => None,
        }
    }
    fn expected() -> String {
        "\"one-hot\" or \"index\"".to_owned()
    }
}

fn table(settings: &Section<'_>) -> Result<TableOptions> {
    let mut table = TableOptions::new(settings.need::<String>("target")?);
    table = match settings.get::<String>("task")?.as_deref() {
        None => table,
        Some("classification") => table.classes(),
        Some("regression") => table.regression(),
        Some(other) => {
            let why = format!("\"classification\" or \"regression\" is expected, got {other:?}");
            return Err(settings.wrong("task", &why));
        }
    };
    table = table.ignore(settings.or::<Vec<String>>("ignore", Vec::new())?);
    let encoding = settings.get::<Encoded>("encoding")?.map_or(Encoding::OneHot, |Encoded(encoding)| encoding);
    table = table.encoding(encoding);
    for column in settings.or::<Vec<String>>("categories", Vec::new())? {
        table = table.category(column, encoding);
    }
    for column in settings.or::<Vec<String>>("numbers", Vec::new())? {
        table = table.number(column);
    }
    if let Some(Filled(missing)) = settings.get("missing")? {
        table = table.missing(missing);
    }
    if let Some(node) = settings.node("missing_in") {
        let Value::Table(entries) = &node.value else {
            return Err(settings.wrong("missing_in", "a table of columns is expected"));
        };
        for entry in entries {
            let Some(Filled(missing)) = Filled::of(&entry.node) else {
                let why = format!("{}: {} is expected, got {}", entry.key, Filled::expected(), entry.node.kind());
                return Err(settings.wrong("missing_in", &why));
            };
            table = table.missing_in(entry.key.as_str(), missing);
        }
    }
    Ok(table)
}
