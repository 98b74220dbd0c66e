//! Two columns of a table as text.

use super::tables::{Csv, Row};
use kiln_tensor::{Error, Result};

/// A row's values in two columns.
pub(crate) struct Pair<'a> {
    row: &'a Row<'a>,
    columns: [usize; 2],
}

impl Pair<'_> {
    /// The first or the second value.
    ///
    /// # Errors
    /// A missing value, with its line.
    pub(crate) fn text(&self, which: usize) -> Result<&str> {
        self.row.present(self.columns[which])?.ok_or_else(|| self.wrong(which, "there is no value"))
    }

    /// What is wrong with a value.
    #[cold]
    pub(crate) fn wrong(&self, which: usize, message: &str) -> Error {
        self.row.wrong(self.columns[which], message)
    }
}

impl Csv {
    /// Goes through the rows, with two columns of each.
    ///
    /// # Errors
    /// An unknown column; what `f` returns.
    pub(crate) fn each_pair(&self, [a, b]: [&str; 2], mut f: impl FnMut(Pair<'_>) -> Result<()>) -> Result<()> {
        let columns = [self.column(a)?, self.column(b)?];
        self.each_row(|row| f(Pair { row, columns }))
    }
}
