//! history.csv, read again.

use kiln::{Error, ErrorKind, Result};
use std::path::Path;

/// Epochs are drawn on an axis; there are no more of them than can be told apart there.
const LAST_EPOCH: f64 = 9e15;

/// Metrics by their names, or the ends of their names (`top_5_accuracy`, `digit_mae`): a larger value is better, or a smaller one.
const LARGER: [&str; 10] =
    ["accuracy", "auc", "average_precision", "cohen_kappa", "f1", "iou", "matthews", "precision", "r2", "recall"];
const SMALLER: [&str; 6] = ["loss", "mae", "mape", "mse", "perplexity", "rmse"];

/// Whether a larger value of a column is better, where that is known.
pub(crate) fn larger_is_better(column: &str) -> Option<bool> {
    let column = column.strip_prefix("val_").unwrap_or(column);
    let is = |name: &&str| column.strip_suffix(*name).is_some_and(|before| before.is_empty() || before.ends_with('_'));
    if LARGER.iter().any(is) {
        return Some(true);
    }
    SMALLER.iter().any(is).then_some(false)
}

/// Numbers by epoch: a column for each quantity.
pub(crate) struct Log {
    columns: Vec<String>,
    /// Column by column; the first has the epochs.
    values: Vec<Vec<f64>>,
}

impl Log {
    /// A run's history, none where no epoch was completed; `path` is what errors name.
    pub(crate) fn read(text: &str, path: &Path) -> Result<Option<Log>> {
        // The numbers that the columns are for are known after an epoch only.
        if text.starts_with("epoch,") && text.lines().nth(1).is_none() {
            return Ok(None);
        }
        Log::parse(text, path).map(Some)
    }

    /// A history that has an epoch; `path` is what errors name.
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

    /// What was measured of training and validation, in the order of the file.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str).filter(|name| !["epoch", "seconds"].contains(name))
    }

    /// Epochs that it has.
    pub(crate) fn epochs(&self) -> usize {
        self.values[0].len()
    }

    /// The value of the last epoch.
    pub(crate) fn last(&self, name: &str) -> Option<f64> {
        self.column(name)?.last().copied()
    }

    /// Time of all epochs.
    pub(crate) fn seconds(&self) -> Option<f64> {
        Some(self.column("seconds")?.iter().sum())
    }

    /// The first epoch with the best value of a column, and that; none where it is not known whether a larger one is better.
    pub(crate) fn best(&self, name: &str) -> Option<(f64, f64)> {
        best(&self.points(name), larger_is_better(name)?)
    }
}

/// The first epoch with the largest or the smallest finite value.
pub(crate) fn best(points: &[(f64, f64)], larger_is_better: bool) -> Option<(f64, f64)> {
    let sign = if larger_is_better { -1.0 } else { 1.0 };
    let finite = points.iter().copied().filter(|(_, value)| value.is_finite());
    finite.min_by(|(_, a), (_, b)| (sign * a).total_cmp(&(sign * b)))
}

#[cfg(test)]
mod tests {
    use super::larger_is_better;
    use kiln::train::{
        Accuracy, Auc, AveragePrecision, BinaryAccuracy, CohenKappa, F1, Iou, Mae, Mape, Matthews, Metric, Mse,
        MultilabelAccuracy, Perplexity, Precision, R2, Recall, Rmse, TopKAccuracy,
    };

    #[test]
    fn directions_are_those_of_the_metrics() {
        let metrics: [Box<dyn Metric>; 18] = [
            Box::new(Accuracy),
            Box::new(Auc::new()),
            Box::new(AveragePrecision::new()),
            Box::new(BinaryAccuracy::new()),
            Box::new(CohenKappa::new()),
            Box::new(F1::new()),
            Box::new(Iou::new()),
            Box::new(Mae),
            Box::new(Mape),
            Box::new(Matthews::new()),
            Box::new(Mse),
            Box::new(MultilabelAccuracy::new()),
            Box::new(Perplexity::new()),
            Box::new(Precision::new()),
            Box::new(R2),
            Box::new(Recall::new()),
            Box::new(Rmse),
            Box::new(TopKAccuracy::new(5)),
        ];
        for metric in metrics {
            let name = metric.label();
            let expected = metric.larger_is_better();
            assert!(expected.is_some(), "{name}");
            assert_eq!(
                (larger_is_better(&name), larger_is_better(&format!("val_{name}"))),
                (expected, expected),
                "{name}"
            );
        }
        assert_eq!((larger_is_better("val_digit_loss"), larger_is_better("closs")), (Some(false), None));
    }
}
