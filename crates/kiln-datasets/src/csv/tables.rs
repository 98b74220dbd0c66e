//! An opened table: random access to its rows.

use super::options::CsvOptions;
use super::scan::{NOT_UTF8, read_through};
use super::source::Source;
use super::summary::CsvSummary;
use super::values::{Value, is_missing, short};
use crate::split;
use ::csv::ByteRecord;
use kiln_tensor::{Error, Result, nearest};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A table in a CSV file, or some rows of one. Its values stay in the file: in memory are where each row begins, 8 bytes, and the
/// [summary](CsvSummary).
///
/// With the feature `parquet`, [Parquet](https://parquet.apache.org) and [Arrow](https://arrow.apache.org) files (Feather version 2) are
/// tables like CSV files; they are known by their first bytes. Nulls, NaN and empty texts are missing values. Texts, numbers, decimals,
/// true and false, dates, times and dictionaries are read as the text that a CSV file has for them; files with other columns (lists,
/// structs, bytes) or compressed otherwise than with Snappy, LZ4 or Zstandard are refused. Rows are decoded in blocks, 8,192 rows of a
/// Parquet file or a batch of an Arrow file; up to 256 MiB of them stay in memory. Where the table is larger, rows in a random order are
/// slow: put the features into memory with [`CsvDataset::load`](crate::CsvDataset::load).
///
/// What is to be learned from a table ([`TableOptions::fit`](crate::TableOptions::fit)) is learned from the training rows alone, so the
/// rows are split first:
///
/// ```
/// use kiln_datasets::{Csv, CsvOptions, Dataset, TableOptions};
/// let text = "size,color,price\n1.5,red,10\n2.5,green,22\n0.5,red,4\n3.5,green,30\n1.0,red,7\n";
/// let csv = CsvOptions::new().read(text)?; // `Csv::open("houses.csv")?`
/// let [train, test] = csv.split(0.4, 1)?;
/// let table = TableOptions::new("price").ignore(["color"]).regression().fit(&train)?;
/// let (train, test) = (table.dataset(&train)?, table.dataset(&test)?);
/// assert_eq!((train.len(), test.len(), train.input_shape()), (3, 2, &[1][..]));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Csv {
    scan: Arc<Scan>,
    /// The rows of the file that this is, in the order in which they come; all of them without.
    chosen: Option<Arc<[usize]>>,
}

#[derive(Debug)]
struct Scan {
    source: Box<dyn Source>,
    missing: Vec<String>,
    columns: Vec<String>,
    /// The number of each row in its source.
    places: Vec<u64>,
    summary: CsvSummary,
}

impl Csv {
    /// Opens a file with a header and commas, or a Parquet or Arrow file; [`CsvOptions`] opens others.
    ///
    /// # Errors
    /// As [`CsvOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Csv> {
        CsvOptions::new().open(path)
    }

    /// Goes through a table, in which these words are missing values.
    pub(super) fn scan(source: Box<dyn Source>, missing: Vec<String>, options: &CsvOptions) -> Result<Csv> {
        let (columns, places, stats) = read_through(&*source, &missing, options)?;
        let seen = places.len().min(options.typed_rows);
        let summaries = columns.iter().zip(&stats).map(|(name, stats)| stats.summary(name, &*source));
        let summaries = summaries.collect::<Result<_>>()?;
        let summary = CsvSummary { rows: places.len(), seen, numbering: source.numbering(), columns: summaries };
        let scan = Scan { source, missing, columns, places, summary };
        Ok(Csv { scan: Arc::new(scan), chosen: None })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.scan.places.len(), |chosen| chosen.len())
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns' names in the file's order.
    pub fn columns(&self) -> &[String] {
        &self.scan.columns
    }

    /// What is in the whole file.
    pub fn summary(&self) -> &CsvSummary {
        &self.scan.summary
    }

    /// The rows with these numbers, in any order.
    ///
    /// # Errors
    /// A number past the last row.
    pub fn select(&self, rows: impl IntoIterator<Item = usize>) -> Result<Csv> {
        let chosen = |row: usize| {
            let past = || Error::value("Csv", format!("there is no row {row}: there are {} rows", self.len()));
            if row < self.len() { Ok(self.row(row)) } else { Err(past()) }
        };
        let chosen = rows.into_iter().map(chosen).collect::<Result<_>>()?;
        Ok(Csv { scan: self.scan.clone(), chosen: Some(chosen) })
    }

    /// Splits the rows in two at random, as [`Dataset::split`](crate::Dataset::split) does: of n rows, round(n · fraction) are the
    /// second part.
    ///
    /// # Errors
    /// A fraction that is not above 0 and below 1, or that leaves a part without a row.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<[Csv; 2]> {
        let [first, second] = split::shuffled(self.len(), fraction, seed)?;
        Ok([self.select(first)?, self.select(second)?])
    }

    /// Splits the rows in two in their order: the second part has the last round(n · fraction) rows.
    ///
    /// # Errors
    /// Those of [`Csv::split`].
    pub fn split_in_order(&self, fraction: f64) -> Result<[Csv; 2]> {
        let [first, second] = split::in_order(self.len(), fraction, None)?;
        Ok([self.select(first)?, self.select(second)?])
    }

    /// Splits the rows in two at random, with each value of a column in both parts in proportion, as
    /// [`Dataset::split_stratified`](crate::Dataset::split_stratified) does.
    ///
    /// # Errors
    /// An unknown column; those of [`Csv::split`]; values that are so rare that the second part cannot be filled.
    pub fn split_stratified(&self, column: &str, fraction: f64, seed: u64) -> Result<[Csv; 2]> {
        let column = self.column(column)?;
        let (mut labels, mut known) = (Vec::with_capacity(self.len()), HashMap::<String, i64>::new());
        self.each_row(|row| {
            let next = known.len() as i64;
            labels.push(*known.entry(row.text(column)?.to_owned()).or_insert(next));
            Ok(())
        })?;
        let [first, second] = split::stratified(&labels, fraction, seed)?;
        Ok([self.select(first)?, self.select(second)?])
    }

    /// Goes through the rows: `f` gets the values of these columns as text, none where a value is missing. The message of an error that `f`
    /// returns is told with the row's line.
    ///
    /// ```
    /// use kiln_datasets::CsvOptions;
    /// let csv = CsvOptions::new().read("name,note\nAnn,early\nBo,\n")?;
    /// let mut notes = Vec::new();
    /// csv.for_each(&["note"], |values| {
    ///     notes.push(values[0].unwrap_or("none").to_owned());
    ///     Ok(())
    /// })?;
    /// assert_eq!(notes, ["early", "none"]);
    /// # Ok::<(), kiln_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// An unknown column; a file that has changed since it was opened; those of `f`.
    pub fn for_each(&self, columns: &[&str], mut f: impl FnMut(&[Option<&str>]) -> Result<()>) -> Result<()> {
        let places = columns.iter().map(|name| self.column(name)).collect::<Result<Vec<_>>>()?;
        self.each_row(|row| {
            let values = places.iter().map(|&place| row.present(place)).collect::<Result<Vec<_>>>()?;
            f(&values).map_err(|error| self.scan.source.wrong_at(row.number, error.message()))
        })
    }

    /// The place of a column.
    pub(super) fn column(&self, name: &str) -> Result<usize> {
        self.columns().iter().position(|column| column == name).ok_or_else(|| self.unknown(name))
    }

    #[cold]
    fn unknown(&self, name: &str) -> Error {
        let names = self.columns().iter().map(String::as_str);
        let hint = match nearest(name, names.clone()) {
            Some(nearest) => format!("the nearest name is {nearest:?}"),
            None => format!("there are {}", list(names)),
        };
        self.scan.source.wrong(&format!("there is no column {name:?}: {hint}"))
    }

    /// What is wrong with the table as a whole.
    #[cold]
    pub(super) fn wrong(&self, message: &str) -> Error {
        self.scan.source.wrong(message)
    }

    /// The number in the file of a row.
    fn row(&self, row: usize) -> usize {
        self.chosen.as_ref().map_or(row, |chosen| chosen[row])
    }

    /// Goes through the rows.
    pub(super) fn each_row(&self, f: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        self.rows_at(0..self.len(), f)
    }

    /// Goes through some rows, which there are.
    pub(super) fn rows_at(
        &self,
        rows: impl Iterator<Item = usize>,
        mut f: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut reader = self.scan.source.rows()?;
        for row in rows {
            let number = self.scan.places[self.row(row)];
            f(&Row { csv: self, number, record: reader.at(number)? })?;
        }
        Ok(())
    }
}

/// Some names, in quotes.
pub(crate) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<String> = names.take(SHOWN + 1).map(short).collect();
    if names.len() > SHOWN {
        names[SHOWN] = "…".to_owned();
    }
    names.join(", ")
}

/// What is wrong with a value, for [`Csv::for_each`], which knows the row.
#[cold]
pub(crate) fn wrong_in(column: &str, message: &str) -> Error {
    Error::value("", format!("column {column:?}: {message}"))
}

/// A row with its number in its source.
pub(super) struct Row<'a> {
    csv: &'a Csv,
    number: u64,
    record: &'a ByteRecord,
}

impl<'a> Row<'a> {
    /// A value without the spaces around it.
    pub(super) fn text(&self, column: usize) -> Result<&'a str> {
        let field = self.record.get(column).ok_or_else(|| self.wrong(column, "there is no value"))?;
        std::str::from_utf8(field).map(str::trim).map_err(|_| self.wrong(column, NOT_UTF8))
    }

    /// A value as text, and what it is.
    pub(super) fn value(&self, column: usize) -> Result<(&'a str, Value)> {
        let text = self.text(column)?;
        Ok((text, Value::of(text, &self.csv.scan.missing)))
    }

    /// A value that is not missing.
    pub(super) fn present(&self, column: usize) -> Result<Option<&'a str>> {
        let text = self.text(column)?;
        Ok((!is_missing(text, &self.csv.scan.missing)).then_some(text))
    }

    /// The number in its source.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What is wrong with a value.
    #[cold]
    pub(super) fn wrong(&self, column: usize, message: &str) -> Error {
        let message = format!("column {:?}: {message}", self.csv.columns()[column]);
        self.csv.scan.source.wrong_at(self.number, &message)
    }
}
