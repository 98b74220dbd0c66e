//! The first pass over a file: the columns' names, where rows are, and what is counted.

use super::options::CsvOptions;
use super::source::Source;
use super::stats::Stats;
use super::values::Value;
use kiln_tensor::Result;

pub(super) const NOT_UTF8: &str = "the text is not UTF-8: save the file in this encoding";

/// The columns' names, each row's number, and what is counted of the columns.
pub(super) fn read_through(
    source: &dyn Source,
    missing: &[String],
    options: &CsvOptions,
) -> Result<(Vec<String>, Vec<u64>, Vec<Stats>)> {
    let (columns, mut rows) = source.open()?;
    let (mut places, mut stats) = (Vec::new(), vec![Stats::default(); columns.len()]);
    while let Some((row, record)) = rows.next()? {
        if record.len() != columns.len() {
            let message = format!("the row has {} values, and there are {} columns", record.len(), columns.len());
            return Err(source.wrong_at(row, &message));
        }
        if places.len() < options.typed_rows {
            for ((field, stats), name) in record.iter().zip(&mut stats).zip(&columns) {
                let text = std::str::from_utf8(field);
                let text = text.map_err(|_| source.wrong_at(row, &format!("column {name:?}: {NOT_UTF8}")))?.trim();
                stats.add(text, Value::of(text, missing), row);
            }
        }
        places.push(row);
    }
    let Some(&last) = places.last() else { return Err(source.wrong("there is no row after the columns' names")) };
    source.check_end(last)?;
    Ok((columns, places, stats))
}
