//! Where a table's rows come from.

use super::bytes::Bytes;
use super::summary::Numbering;
use super::values::short;
use ::csv::ByteRecord;
use kiln_tensor::{Error, Result};
use std::collections::HashMap;
use std::fmt::Debug;

/// A table in one of the formats. A row is known by a number, which only its format understands: rows that come later have higher ones.
pub(super) trait Source: Debug + Send + Sync {
    fn bytes(&self) -> &Bytes;

    /// The columns' names, and the rows from the first one on.
    fn open(&self) -> Result<(Vec<String>, Box<dyn Rows + '_>)>;

    /// The rows, to be read by their numbers.
    fn rows(&self) -> Result<Box<dyn Rows + '_>>;

    /// What messages count to say where a row is.
    fn numbering(&self) -> Numbering;

    /// The line or row, from 1, that messages name for a row.
    fn number(&self, row: u64) -> Result<u64>;

    /// Refuses a last row that swallows what is behind it.
    fn check_end(&self, row: u64) -> Result<()>;
}

impl dyn Source + '_ {
    /// What is wrong with the table as a whole.
    #[cold]
    pub(super) fn wrong(&self, message: &str) -> Error {
        self.bytes().wrong(message)
    }

    /// What is wrong in a row.
    #[cold]
    pub(super) fn wrong_at(&self, row: u64, message: &str) -> Error {
        match self.number(row) {
            Ok(number) => self.wrong(&format!("{} {number}: {message}", self.numbering())),
            Err(error) => error,
        }
    }
}

/// Rows of a table, one after the other or by their number; their values are text.
pub(super) trait Rows {
    /// The next row with its number, none at the end.
    fn next(&mut self) -> Result<Option<(u64, &ByteRecord)>>;

    /// The row with a number.
    fn at(&mut self, row: u64) -> Result<&ByteRecord>;
}

/// The name of a column that has none, by its number from 1.
pub(super) fn unnamed(number: usize) -> String {
    format!("column{number}")
}

/// The columns' names by what the file says; or what is wrong with them.
pub(super) fn names<'n>(found: impl Iterator<Item = &'n str>) -> Result<Vec<String>, String> {
    let (mut names, mut places) = (Vec::new(), HashMap::new());
    for (at, name) in found.enumerate() {
        let name = if name.trim().is_empty() { unnamed(at + 1) } else { name.trim().to_owned() };
        if let Some(before) = places.insert(name.clone(), at) {
            return Err(format!("columns {} and {} are both named {}", before + 1, at + 1, short(&name)));
        }
        names.push(name);
    }
    Ok(names)
}
