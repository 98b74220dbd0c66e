//! history.csv, read again.

use kiln::{Error, ErrorKind, Result};
use std::path::Path;

/// Epochs are drawn on an axis; there are no more of them than can be told apart there.
const LAST_EPOCH: f64 = 9e15;

/// Numbers by epoch: a column for each quantity.
pub(crate) struct Log {
    columns: Vec<String>,
    /// Column by column; the first has the epochs.
    values: Vec<Vec<f64>>,
}

impl Log {
    /// A run's history; `path` is what errors name.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Log> {
        let wrong = |line: usize, why: String| {
            Err(Error::new(ErrorKind::Format, "", format!("{}: line {line}: {why}", path.display())))
        };
        let mut lines = text.lines();
        let columns: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        if columns.first().is_none_or(|name| name != "epoch") || !columns.iter().any(|name| name == "loss") {
            return wrong(1, "the names of the columns are expected, epoch,loss,…".to_owned());
        }
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
        let mut last = 0.0;
        for (number, line) in (2..).zip(lines) {
            let count = line.split(',').count();
            if count != columns.len() {
                return wrong(number, format!("{} numbers are expected, got {count}", columns.len()));
            }
            for (cell, column) in line.split(',').zip(&mut values) {
                let Ok(value) = cell.parse() else { return wrong(number, format!("`{cell}` is not a number")) };
                column.push(value);
            }
            let epoch = values[0].last().copied().unwrap_or(f64::NAN);
            if !(epoch > last && epoch <= LAST_EPOCH && epoch.fract() == 0.0) {
                let message =
                    format!("epoch {epoch:?} is not expected here: epochs are whole numbers that rise from 1 on");
                return wrong(number, message);
            }
            last = epoch;
        }
        if values[0].is_empty() {
            return wrong(2, "no epoch follows".to_owned());
        }
        Ok(Log { columns, values })
    }

    fn column(&self, name: &str) -> Option<&[f64]> {
        let at = self.columns.iter().position(|column| column == name)?;
        Some(&self.values[at])
    }

    /// What was measured on the training data: `loss`, then metrics.
    pub(crate) fn quantities(&self) -> impl Iterator<Item = &str> {
        let names = self.columns.iter().map(String::as_str);
        names.filter(|name| !name.starts_with("val_") && !["epoch", "seconds"].contains(name))
    }

    /// The values of a column by epoch, some of them not finite; none where there is no such column.
    pub(crate) fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let column = self.column(name).unwrap_or_default();
        self.values[0].iter().copied().zip(column.iter().copied()).collect()
    }

    /// The first epoch with the best value of a column, and that: the largest accuracy, the smallest loss. It is not known what
    /// is best of other metrics.
    pub(crate) fn best(&self, name: &str) -> Option<(f64, f64)> {
        let sign = match name.strip_prefix("val_").unwrap_or(name) {
            quantity if quantity.ends_with("loss") => 1.0,
            quantity if quantity.ends_with("accuracy") => -1.0,
            _ => return None,
        };
        let finite = self.points(name).into_iter().filter(|(_, value)| value.is_finite());
        finite.min_by(|(_, a), (_, b)| (sign * a).total_cmp(&(sign * b)))
    }
}
