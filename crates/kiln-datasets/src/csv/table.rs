//! What was learned from the training rows of a table.

use super::dataset::CsvDataset;
use super::tables::Csv;
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor};
use serde::{Deserialize, Serialize};

/// How the columns of a table become features and the target, as it was learned from the training rows: categories, classes, what
/// stands for missing values. It is a value that is saved as JSON beside the model, and applied to other tables by their
/// columns' names, whatever their order; columns that it does not know do not matter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TableEncoder {
    pub(super) features: Vec<Feature>,
    pub(super) target: Target,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Feature {
    pub(super) column: String,
    #[serde(flatten)]
    pub(super) form: Form,
    pub(super) missing: Filled,
}

/// What a column becomes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub(super) enum Form {
    Number,
    Boolean,
    OneHot { categories: Vec<String> },
    Index { categories: Vec<String> },
}

impl Form {
    /// Features of the column.
    pub(super) fn width(&self) -> usize {
        match self {
            Form::OneHot { categories } => categories.len(),
            _ => 1,
        }
    }

    pub(super) fn categories(&self) -> &[String] {
        match self {
            Form::OneHot { categories } | Form::Index { categories } => categories,
            Form::Number | Form::Boolean => &[],
        }
    }
}

/// What stands for a missing value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Filled {
    Refuse,
    DropRow,
    /// A number.
    Number(f64),
    /// A category.
    Category(String),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) column: String,
    /// The classes in order; a number without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) classes: Option<Vec<String>>,
    /// Whether rows without a target are left out.
    pub(super) drop_missing: bool,
}

impl TableEncoder {
    /// The features' names in the order of a batch's columns: `age`, `color=red`.
    pub fn feature_names(&self) -> Vec<String> {
        let names = |feature: &Feature| match &feature.form {
            Form::OneHot { categories } => {
                categories.iter().map(|category| format!("{}={category}", feature.column)).collect()
            }
            _ => vec![feature.column.clone()],
        };
        self.features.iter().flat_map(names).collect()
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.features.iter().map(|feature| feature.form.width()).sum()
    }

    /// The column that is predicted.
    pub fn target(&self) -> &str {
        &self.target.column
    }

    /// The classes' names by their labels, in order; none where the target is a number.
    pub fn class_names(&self) -> Option<&[String]> {
        self.target.classes.as_deref()
    }

    /// The rows as samples: inputs (n, features), f32, and targets: labels (n,), i64, of classes, or numbers (n, 1), f32.
    ///
    /// All rows are gone through once, so that what is wrong shows now.
    ///
    /// # Errors
    /// A column that the table lacks; with line and column: text in a column of numbers, a category or class that the training rows
    /// did not have, a missing value where nothing stands for it.
    pub fn dataset(&self, csv: &Csv) -> Result<CsvDataset> {
        CsvDataset::new(self, csv)
    }

    /// The features of all rows, (n, features), f32: of a table that need not have the target, to predict it. The rows of a large
    /// table go in parts ([`Csv::select`]).
    ///
    /// # Errors
    /// As [`TableEncoder::dataset`]; a missing value whose row would be left out in training is an error here.
    pub fn inputs(&self, csv: &Csv, device: &Device) -> Result<Tensor> {
        self.bind(csv)?.inputs(csv)?.to_device(device)
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Neither its names nor its numbers can fail: names are text, and numbers finite.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// From its JSON.
    ///
    /// # Errors
    /// Text that is not the JSON of a `TableEncoder`.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::Format, "TableEncoder", format!("this is not a table's JSON: {e}")).with_source(e)
        })
    }
}
