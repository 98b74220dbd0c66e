//! What the columns of a table are to become.

use super::fit::{self, fit};
use super::table::TableEncoder;
use super::tables::Csv;
use kiln_tensor::Result;
use std::collections::BTreeMap;

/// What is done where a value is missing.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Missing {
    /// An error that names line and column.
    #[default]
    Refuse,
    /// The row is left out.
    DropRow,
    /// The mean of the training rows' numbers; of categories, and of true and false, the most frequent one.
    Mean,
    /// The number in the middle of the training rows' numbers; of others as `Mean`. The numbers are in memory while they are learned, 8 bytes each.
    Median,
    /// The most frequent value of the training rows, of equally frequent ones the first in order.
    Mode,
    /// This value; a category that the training rows need not have.
    Constant(String),
}

impl Missing {
    /// This value: `Missing::constant(0)`, `Missing::constant("unknown")`.
    pub fn constant(value: impl ToString) -> Self {
        Missing::Constant(value.to_string())
    }
}

/// What a column of categories becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
    /// A feature for each category, 1 where the row has it and else 0.
    #[default]
    OneHot,
    /// One feature, the category's index in order: what an embedding takes.
    Index,
}

/// How a column that is named is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Number,
    Category(Encoding),
}

/// What the columns of a table are to become: features, f32, and the target.
///
/// Each column but the target's and the ignored ones is a feature: numbers as they are, true and false as 1 and 0, categories as
/// one-hot features. The standardization of features is the model's part: its layer `Normalization`, adapted to the data set that
/// comes of this, is saved with the weights.
///
/// The target is a class, where it holds text, categories, true and false, or whole numbers of which at most 20 are different, each
/// twice on average; else a number. [`classes`](TableOptions::classes) and [`regression`](TableOptions::regression) say it.
///
/// ```
/// use kiln_datasets::{CsvOptions, Dataset, Encoding, Missing, TableOptions};
/// use kiln_tensor::Device;
/// let text = "day,age,color,kind\n2024-01-01,3,red,cat\n2024-01-02,,red,dog\n2024-01-03,5,blue,cat\n2024-01-04,7,blue,dog\n";
/// let train = CsvOptions::new().read(text)?;
/// let table = TableOptions::new("kind").ignore(["day"]).missing(Missing::Median).fit(&train)?;
/// assert_eq!(table.feature_names(), ["age", "color=blue", "color=red"]);
/// assert_eq!(table.class_names().unwrap(), ["cat", "dog"]);
/// let batch = table.dataset(&train)?.batch(&[1, 3], &[], &Device::cpu())?;
/// assert_eq!(batch.inputs.to_vec::<f32>()?, [5.0, 0.0, 1.0, 7.0, 1.0, 0.0]);
/// assert_eq!(batch.targets.to_vec::<i64>()?, [1, 1]);
/// # Ok::<(), kiln_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TableOptions {
    pub(super) target: String,
    pub(super) classes: Option<bool>,
    pub(super) ignored: Vec<String>,
    pub(super) uses: BTreeMap<String, Use>,
    pub(super) missing: Missing,
    pub(super) missing_in: BTreeMap<String, Missing>,
    pub(super) encoding: Encoding,
}

impl TableOptions {
    /// The column that a model is to predict.
    pub fn new(target: impl Into<String>) -> Self {
        TableOptions {
            target: target.into(),
            classes: None,
            ignored: Vec::new(),
            uses: BTreeMap::new(),
            missing: Missing::Refuse,
            missing_in: BTreeMap::new(),
            encoding: Encoding::OneHot,
        }
    }

    /// The target's values are classes, whatever they look like.
    #[must_use]
    pub fn classes(self) -> Self {
        TableOptions { classes: Some(true), ..self }
    }

    /// The target's values are numbers.
    #[must_use]
    pub fn regression(self) -> Self {
        TableOptions { classes: Some(false), ..self }
    }

    /// Columns that are no features: dates, names, numbers of rows.
    #[must_use]
    pub fn ignore<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.ignored.extend(columns.into_iter().map(Into::into));
        self
    }

    /// A column holds categories, whatever they look like: numbers of kinds, texts.
    #[must_use]
    pub fn category(mut self, column: impl Into<String>, encoding: Encoding) -> Self {
        self.uses.insert(column.into(), Use::Category(encoding));
        self
    }

    /// A column holds numbers: text in it is an error.
    #[must_use]
    pub fn number(mut self, column: impl Into<String>) -> Self {
        self.uses.insert(column.into(), Use::Number);
        self
    }

    /// What columns of categories become, where [`category`](TableOptions::category) says nothing else.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        TableOptions { encoding, ..self }
    }

    /// What is done where a feature is missing. A missing target is an error, or the row is left out where `DropRow` is asked for.
    #[must_use]
    pub fn missing(self, missing: Missing) -> Self {
        TableOptions { missing, ..self }
    }

    /// What is done where the value of this column is missing, which may be the target.
    #[must_use]
    pub fn missing_in(mut self, column: impl Into<String>, missing: Missing) -> Self {
        self.missing_in.insert(column.into(), missing);
        self
    }

    /// Whether the target of this table is a class: as it was said, or by what the column holds.
    ///
    /// # Errors
    /// An unknown target; one that is neither a class nor a number.
    pub fn is_classification(&self, table: &Csv) -> Result<bool> {
        match self.classes {
            Some(classes) => Ok(classes),
            None => fit::is_class(table, &table.summary().columns[table.column(&self.target)?]),
        }
    }

    /// Learns from the training rows: categories, classes, and the values that fill in for missing ones.
    ///
    /// # Errors
    /// A column that there is not, with the nearest name; columns that are no features (dates, text, nothing but missing values),
    /// unless they are ignored or named with [`category`](TableOptions::category); text in a column of numbers, with line and column;
    /// missing values, where nothing is said about them; a target of one class.
    pub fn fit(&self, train: &Csv) -> Result<TableEncoder> {
        fit(self, train)
    }
}
