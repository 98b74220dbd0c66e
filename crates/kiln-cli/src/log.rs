//! history.csv, read again.

use kiln::{Error, ErrorKind, Result};
use std::path::Path;

/// Numbers by epoch: a column for each quantity.
pub(crate) struct Log {
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
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
        let mut rows = Vec::new();
        for (number, line) in (2..).zip(lines) {
            let cells: Vec<&str> = line.split(',').collect();
            if cells.len() != columns.len() {
                return wrong(number, format!("{} numbers are expected, got {}", columns.len(), cells.len()));
            }
            let mut row: Vec<f64> = Vec::with_capacity(cells.len());
            for cell in cells {
                let Ok(value) = cell.parse() else { return wrong(number, format!("`{cell}` is no number")) };
                row.push(value);
            }
            let after = rows.last().map_or(0.0, |row: &Vec<f64>| row[0]);
            if row[0].fract() != 0.0 || row[0] <= after || row[0] > f64::from(i32::MAX) {
                return wrong(number, format!("a whole number above {after} is expected as its epoch, got {}", row[0]));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            return wrong(2, "no epoch follows".to_owned());
        }
        Ok(Log { columns, rows })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// What was measured on the training data: `loss`, then metrics.
    pub(crate) fn quantities(&self) -> impl Iterator<Item = &str> {
        let names = self.columns.iter().map(String::as_str);
        names.filter(|name| !name.starts_with("val_") && !["epoch", "seconds"].contains(name))
    }

    /// The finite values of a column by epoch; none where there is no such column.
    pub(crate) fn points(&self, name: &str) -> Vec<(i32, f64)> {
        let Some(column) = self.column(name) else { return Vec::new() };
        let points = self.rows.iter().map(|row| (row[0] as i32, row[column]));
        points.filter(|(_, value)| value.is_finite()).collect()
    }

    /// The value of a column in an epoch.
    pub(crate) fn value(&self, name: &str, epoch: i32) -> Option<f64> {
        self.points(name).into_iter().find(|&(at, _)| at == epoch).map(|(_, value)| value)
    }

    /// The epoch of the smallest loss, of the validation where there is one.
    pub(crate) fn best(&self) -> Option<i32> {
        let validation = self.points("val_loss");
        let points = if validation.is_empty() { self.points("loss") } else { validation };
        points.into_iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(epoch, _)| epoch)
    }
}
