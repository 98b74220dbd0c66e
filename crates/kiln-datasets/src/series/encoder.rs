//! How the rows of a series become windows.

use super::rows::{in_time_order, numbers};
use super::windows::SeriesWindows;
use crate::Csv;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// How the rows of a series become windows and targets ([`SeriesOptions::fit`](crate::SeriesOptions::fit)). It is a value that is saved as
/// JSON beside the model, and applied to other tables by their columns' names, whatever their order; columns that it does not know do not
/// matter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SeriesEncoder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    pub(super) features: Vec<String>,
    pub(super) targets: Vec<String>,
    pub(super) window: NonZeroUsize,
    pub(super) horizon: NonZeroUsize,
    pub(super) stride: NonZeroUsize,
    pub(super) fill_forward: bool,
}

impl SeriesEncoder {
    /// The features' columns in the order of a window's last axis.
    pub fn feature_names(&self) -> &[String] {
        &self.features
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.features.len()
    }

    /// The columns that are predicted.
    pub fn targets(&self) -> &[String] {
        &self.targets
    }

    /// Rows of a window.
    pub fn window(&self) -> usize {
        self.window.get()
    }

    /// Rows after a window that are predicted; the model gives horizon × targets numbers.
    pub fn horizon(&self) -> usize {
        self.horizon.get()
    }

    /// The columns of the features, then those of targets that are no features.
    pub(super) fn columns(&self) -> Vec<&str> {
        let others = self.targets.iter().filter(|target| !self.features.contains(target));
        self.features.iter().chain(others).map(String::as_str).collect()
    }

    /// The rows as samples: windows (n, window, features), f32, and targets (n, horizon × targets), f32: of the first row after the window
    /// each target, then of the next. The numbers of all rows are in memory.
    ///
    /// # Errors
    /// A column that the table lacks; fewer rows than a window and its targets; with line and column: text in a column of numbers, a
    /// missing value, a time that is missing, there twice, or neither a number nor a date.
    pub fn dataset(&self, csv: &Csv) -> Result<SeriesWindows> {
        let columns = self.columns();
        let values = self.numbers(csv, &columns, self.window.get().saturating_add(self.horizon.get()))?;
        let place = |target: &String| columns.iter().position(|column| column == target);
        let targets = self.targets.iter().filter_map(place).collect();
        let windows = SeriesWindows::of(values, columns.len(), [self.window.get(), self.features.len()], targets);
        Ok(windows.horizon(self.horizon.get()).stride(self.stride.get()))
    }

    /// The features of the last rows, (1, window, features), f32: to predict what comes after them. The table need not have targets that
    /// are no features.
    ///
    /// # Errors
    /// As [`SeriesEncoder::dataset`]; fewer rows than a window.
    pub fn inputs(&self, csv: &Csv, device: &Device) -> Result<Tensor> {
        let columns: Vec<&str> = self.features.iter().map(String::as_str).collect();
        let (window, width) = (self.window.get(), columns.len());
        let mut values = self.numbers(csv, &columns, window)?;
        values.drain(..values.len() - window * width);
        Tensor::from_vec(values, [1, window, width], device)
    }

    /// The numbers in these columns in the order of time, at least `needed` rows.
    fn numbers(&self, csv: &Csv, columns: &[&str], needed: usize) -> Result<Vec<f32>> {
        let rows = csv.len();
        if self.features.is_empty() || self.targets.is_empty() {
            return Err(Error::new(
                ErrorKind::Format,
                "SeriesEncoder",
                "the encoder's JSON has no feature or no target",
            ));
        }
        if rows < needed {
            let message = format!(
                "there are {rows} rows: a window of {} rows and {} to predict need more",
                self.window, self.horizon
            );
            return Err(Error::value("SeriesEncoder", message));
        }
        numbers(&in_time_order(csv, self.time.as_deref())?, columns, self.fill_forward)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Texts and numbers cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// From its JSON.
    ///
    /// # Errors
    /// Text that is not the JSON of a `SeriesEncoder`.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::Format, "SeriesEncoder", format!("this is not a series encoder's JSON: {e}"))
                .with_source(e)
        })
    }
}
