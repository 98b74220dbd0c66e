//! The first pass over a file: the columns' names, where rows begin, and what is counted.

use super::options::CsvOptions;
use super::source::Source;
use super::stats::Stats;
use super::values::{Value, number, short};
use ::csv::ByteRecord;
use kiln_tensor::Result;
use std::collections::HashMap;

pub(super) const NOT_UTF8: &str = "the text is not UTF-8: save the file in this encoding";

/// The columns' names, where each row begins, and what is counted of the columns.
pub(super) fn read_through(source: &Source, options: &CsvOptions) -> Result<(Vec<String>, Vec<u64>, Vec<Stats>)> {
    let mut rows = source.rows()?;
    let Some((byte, first)) = rows.next()? else { return Err(source.wrong("the file is empty")) };
    let columns = match options.header {
        true => header(source, byte, first)?,
        false => (1..=first.len()).map(unnamed).collect(),
    };
    if !options.header {
        rows = source.rows()?;
    }
    let (mut places, mut stats) = (Vec::new(), vec![Stats::default(); columns.len()]);
    while let Some((byte, record)) = rows.next()? {
        if record.len() != columns.len() {
            let message = format!("the row has {} values, and there are {} columns", record.len(), columns.len());
            return Err(source.wrong_at(byte, &message));
        }
        if places.len() < options.typed_rows {
            for ((field, stats), name) in record.iter().zip(&mut stats).zip(&columns) {
                let text = std::str::from_utf8(field);
                let text = text.map_err(|_| source.wrong_at(byte, &format!("column {name:?}: {NOT_UTF8}")))?.trim();
                stats.add(text, Value::of(text, &options.missing), byte);
            }
        }
        places.push(byte);
    }
    let Some(&last) = places.last() else { return Err(source.wrong("there is no row after the header")) };
    source.check_end(last)?;
    Ok((columns, places, stats))
}

fn unnamed(place: usize) -> String {
    format!("column{place}")
}

/// The names in the first line.
fn header(source: &Source, byte: u64, record: &ByteRecord) -> Result<Vec<String>> {
    let mut names = Vec::with_capacity(record.len());
    let mut places = HashMap::new();
    for (at, field) in record.iter().enumerate() {
        let name = std::str::from_utf8(field).map_err(|_| source.wrong_at(byte, NOT_UTF8))?.trim();
        let name = if name.is_empty() { unnamed(at + 1) } else { name.to_owned() };
        if let Some(before) = places.insert(name.clone(), at) {
            let message = format!("columns {} and {} are both named {}", before + 1, at + 1, short(&name));
            return Err(source.wrong_at(byte, &message));
        }
        names.push(name);
    }
    if names.iter().all(|name| number(name).is_some()) {
        let message =
            "the header has numbers only: of a file without a header `CsvOptions::header(false)` names the columns";
        return Err(source.wrong_at(byte, message));
    }
    Ok(names)
}
