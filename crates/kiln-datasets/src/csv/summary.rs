//! What is in a table.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the values of a column are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ColumnKind {
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// true and false, or yes and no, in any case.
    Boolean,
    /// Texts of which at most 1,000 are different, and on average each comes twice; or at most 10 are different, and one comes twice.
    Category,
    /// Texts of which most are different: names, sentences.
    Text,
    /// Days, with or without a time: 2024-12-31, 31.12.2024, 12/31/2024.
    Date,
    /// At least half numbers, and something else.
    Mixed,
    /// Missing values only.
    Empty,
}

impl ColumnKind {
    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            ColumnKind::Integer => "integer",
            ColumnKind::Float => "float",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Category => "category",
            ColumnKind::Text => "text",
            ColumnKind::Date => "date",
            ColumnKind::Mixed => "mixed",
            ColumnKind::Empty => "empty",
        }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a message counts to say where a row is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbering {
    /// Lines of a CSV file, from 1, the header included.
    #[default]
    Line,
    /// Rows of a Parquet or Arrow file, from 1.
    Row,
}

impl fmt::Display for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Numbering::Line => "line",
            Numbering::Row => "row",
        })
    }
}

/// A column of a table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// Rows without a value.
    pub missing: usize,
    /// Different values; `None` where there are more than 10,000, or they are too long to be counted (4 MiB).
    pub distinct: Option<usize>,
    /// The smallest number.
    pub minimum: Option<f64>,
    /// The largest number.
    pub maximum: Option<f64>,
    /// The mean of the numbers.
    pub mean: Option<f64>,
    /// The values that are most frequent, at most 100 of them, and how often each is there.
    pub frequent: Vec<(String, usize)>,
    /// Of a [`Mixed`](ColumnKind::Mixed) column the line or row ([`CsvSummary::numbering`]) and the beginning of the first value that is
    /// not a number.
    pub odd: Option<(u64, String)>,
}

/// What is in a table: its rows and columns. `Display` writes a line a column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CsvSummary {
    /// All rows.
    pub rows: usize,
    /// The rows by which the columns were judged, the first ones.
    pub seen: usize,
    /// What the numbers of [`ColumnSummary::odd`] and of messages count.
    #[serde(default)]
    pub numbering: Numbering,
    /// The columns in the file's order.
    pub columns: Vec<ColumnSummary>,
}

impl CsvSummary {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnSummary> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl fmt::Display for CsvSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rows, {} columns", self.rows, self.columns.len())?;
        if self.seen < self.rows {
            writeln!(f, "judged by the first {} rows", self.seen)?;
        }
        let width = self.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
        for column in &self.columns {
            write!(f, "{:width$}  {:8}", column.name, column.kind)?;
            match column.distinct {
                Some(distinct) => write!(f, "  {distinct:>6} distinct")?,
                None => write!(f, "    many distinct")?,
            }
            if column.missing > 0 {
                write!(f, "  {} missing", column.missing)?;
            }
            if let (Some(minimum), Some(maximum), Some(mean)) = (column.minimum, column.maximum, column.mean) {
                write!(f, "  {minimum} to {maximum}, mean {mean:.6}")?;
            }
            if let Some((number, value)) = &column.odd {
                write!(f, "  {} {number} has {value}", self.numbering)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
