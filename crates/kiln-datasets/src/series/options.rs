//! What the rows of a series are to become.

use super::encoder::SeriesEncoder;
use super::rows::{in_time_order, numbers};
use crate::{ColumnKind, Csv, split};
use kiln_tensor::{Error, Result};
use std::collections::HashSet;
use std::num::NonZeroUsize;

/// What the rows of a table, one for each time, are to become: windows over the features, and as targets the values that follow.
///
/// The time is a column of numbers or dates (`2024-12-31`, `2024-12-31T23:59:59`, with or without an offset from UTC), by which the rows are
/// sorted; without one they are taken as they come. Each column but that of the time is a feature, unless
/// [`features`](SeriesOptions::features) are named. The standardization of features is the model's part: its layer `Normalization`.
///
/// ```
/// use kiln_datasets::{CsvOptions, Dataset, SeriesEncoder, SeriesOptions};
/// use kiln_tensor::Device;
/// let rows: String = (0..40).map(|t| format!("2024-01-01T{:02}:{:02},{},{}\n", t / 4, t % 4 * 15, t, 2 * t)).collect();
/// let csv = CsvOptions::new().read(format!("at,load,sun\n{rows}"))?;
/// let options = SeriesOptions::new(["load"], 8).time("at").horizon(3);
/// let [train, test] = options.split(&csv, 0.3)?; // the last 12 rows
/// let series = options.fit(&train)?;
/// let (train, test) = (series.dataset(&train)?, series.dataset(&test)?);
/// assert_eq!((train.len(), train.input_shape(), test.len()), (18, &[8, 2][..], 2));
///
/// // Elsewhere: the encoder's JSON goes with the model's file. The newest rows tell what comes next.
/// let inputs = SeriesEncoder::from_json(&series.to_json())?.inputs(&csv, &Device::cpu())?;
/// assert_eq!((inputs.dims(), inputs.to_vec::<f32>()?[..2].to_vec()), (&[1, 8, 2][..], vec![32.0, 64.0]));
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeriesOptions {
    targets: Vec<String>,
    window: usize,
    time: Option<String>,
    features: Option<Vec<String>>,
    horizon: usize,
    stride: usize,
    fill_forward: bool,
}

impl SeriesOptions {
    /// The columns that a model is to predict, and the rows of a window.
    pub fn new<S: Into<String>>(targets: impl IntoIterator<Item = S>, window: usize) -> Self {
        SeriesOptions {
            targets: targets.into_iter().map(Into::into).collect(),
            window,
            time: None,
            features: None,
            horizon: 1,
            stride: 1,
            fill_forward: false,
        }
    }

    /// The column of the time.
    #[must_use]
    pub fn time(self, column: impl Into<String>) -> Self {
        SeriesOptions { time: Some(column.into()), ..self }
    }

    /// The columns that windows have, in this order.
    #[must_use]
    pub fn features<S: Into<String>>(self, columns: impl IntoIterator<Item = S>) -> Self {
        SeriesOptions { features: Some(columns.into_iter().map(Into::into).collect()), ..self }
    }

    /// How many rows after a window are its targets, by default 1.
    #[must_use]
    pub fn horizon(self, rows: usize) -> Self {
        SeriesOptions { horizon: rows, ..self }
    }

    /// How many rows apart windows begin, by default 1.
    #[must_use]
    pub fn stride(self, rows: usize) -> Self {
        SeriesOptions { stride: rows, ..self }
    }

    /// Whether a missing value is that of the row before. By default it is an error.
    #[must_use]
    pub fn fill_forward(self, fill: bool) -> Self {
        SeriesOptions { fill_forward: fill, ..self }
    }

    /// Splits the rows in two in the order of time: of n rows, the last round(n · fraction) are the second part.
    ///
    /// # Errors
    /// A fraction that is not above 0 and below 1, or that leaves a part without a row; an unknown column; a time that is missing, there
    /// twice, or neither a number nor a date, with the line.
    pub fn split(&self, csv: &Csv, fraction: f64) -> Result<[Csv; 2]> {
        let csv = in_time_order(csv, self.time.as_deref())?;
        let [first, second] = split::in_order(csv.len(), fraction, None)?;
        Ok([csv.select(first)?, csv.select(second)?])
    }

    /// Learns from the training rows which columns are features, and checks that their values are numbers.
    ///
    /// # Errors
    /// A column that there is not, with the nearest name, or that is named twice; no target; a window, horizon or stride of 0; columns
    /// that hold no numbers, unless the features are named; text in a column of numbers and missing values, with line and column;
    /// those of [`split`](SeriesOptions::split).
    pub fn fit(&self, train: &Csv) -> Result<SeriesEncoder> {
        let features = match &self.features {
            Some(features) => features.clone(),
            None => self.numeric(train)?,
        };
        for (columns, what) in [(&self.targets, "target"), (&features, "feature")] {
            if columns.is_empty() {
                return Err(Error::value("SeriesOptions", format!("there is no {what}")));
            }
            let mut seen = HashSet::new();
            if let Some(column) = columns.iter().find(|&column| !seen.insert(column)) {
                return Err(Error::value("SeriesOptions", format!("the {what} {column:?} is named twice")));
            }
        }
        let positive = |count: usize, what: &str| {
            let none = || Error::value("SeriesOptions", format!("a {what} of 0: 1 or more is expected"));
            NonZeroUsize::new(count).ok_or_else(none)
        };
        let series = SeriesEncoder {
            time: self.time.clone(),
            features,
            targets: self.targets.clone(),
            window: positive(self.window, "window")?,
            horizon: positive(self.horizon, "horizon")?,
            stride: positive(self.stride, "stride")?,
            fill_forward: self.fill_forward,
        };
        numbers(&in_time_order(train, self.time.as_deref())?, &series.columns(), self.fill_forward)?;
        Ok(series)
    }

    /// All columns but the time's.
    fn numeric(&self, train: &Csv) -> Result<Vec<String>> {
        let columns = train.summary().columns.iter().filter(|column| Some(&column.name) != self.time.as_ref());
        // What is wrong with a value among numbers is told with its line.
        let (numeric, others): (Vec<_>, Vec<_>) = columns.partition(|column| {
            matches!(column.kind, ColumnKind::Integer | ColumnKind::Float | ColumnKind::Mixed | ColumnKind::Empty)
        });
        if !others.is_empty() {
            let names: Vec<String> =
                others.iter().map(|column| format!("{:?} ({})", column.name, column.kind)).collect();
            let message = format!(
                "these columns hold no numbers: {}: name the features with `SeriesOptions::features`, and the column of the time with \
                 `time`",
                names.join(", ")
            );
            return Err(Error::value("SeriesOptions", message));
        }
        Ok(numeric.into_iter().map(|column| column.name.clone()).collect())
    }
}
