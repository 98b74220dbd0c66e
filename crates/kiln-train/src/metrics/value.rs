//! The value of a metric.

use std::fmt;

/// Why a metric has no value where nothing counted.
pub(super) const NO_TARGETS: &str = "there were no targets";

/// The value of a metric.
#[derive(Clone, PartialEq, Debug)]
pub enum MetricValue {
    /// A number.
    Number(f64),
    /// A table, such as a confusion matrix.
    Table(Table),
    /// Undefined, with the reason: NaN in histories ([`Evaluation::undefined`](crate::Evaluation::undefined)).
    Undefined(String),
}

impl MetricValue {
    /// Undefined, as there were no targets.
    pub fn no_targets() -> Self {
        MetricValue::Undefined(NO_TARGETS.to_owned())
    }

    /// The number; NaN for a table or an undefined value.
    pub fn number(&self) -> f64 {
        match self {
            MetricValue::Number(number) => *number,
            _ => f64::NAN,
        }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        match self {
            MetricValue::Table(table) => Some(table),
            _ => None,
        }
    }
}

impl From<f64> for MetricValue {
    fn from(number: f64) -> Self {
        MetricValue::Number(number)
    }
}

/// Numbers in rows and columns.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    columns: usize,
    values: Vec<f64>,
}

impl Table {
    /// A table with this number of columns, from its rows one after the other.
    pub fn new(columns: usize, values: Vec<f64>) -> Self {
        Table { columns, values }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// A number; none outside.
    pub fn get(&self, row: usize, column: usize) -> Option<f64> {
        if column >= self.columns {
            return None;
        }
        self.values.get(row * self.columns + column).copied()
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// One line a row, columns aligned.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.values.iter().all(|value| value.fract() == 0.0);
        let texts: Vec<String> =
            self.values.iter().map(|value| if whole { format!("{value}") } else { format!("{value:.4}") }).collect();
        let width = texts.iter().map(String::len).max().unwrap_or(0);
        for (row, texts) in texts.chunks(self.columns.max(1)).enumerate() {
            let line: Vec<String> = texts.iter().map(|text| format!("{text:>width$}")).collect();
            write!(f, "{}{}", if row > 0 { "\n" } else { "" }, line.join("  "))?;
        }
        Ok(())
    }
}
