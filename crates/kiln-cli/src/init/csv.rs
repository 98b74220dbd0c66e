//! Settings for a table.

use super::{Found, comments, list, quoted, stopping, training};
use kiln::datasets::{ColumnKind, ColumnSummary, CsvSummary};
use kiln::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Categories of a column that become features.
const MOST_CATEGORIES: usize = 100;
/// Classes that are listed.
const SHOWN: usize = 10;
/// Below so many rows a table is small.
const SMALL: usize = 2_000;
/// Steps of a training.
const STEPS: usize = 4_000;

pub(super) fn settings(file: &Path, path: &str, target: &str, delimiter: Option<&str>) -> Result<Found> {
    let mut options = CsvOptions::new();
    if let Some(delimiter) = delimiter {
        let &[byte] = delimiter.as_bytes() else {
            return Err(Error::value("", format!("--delimiter {delimiter:?}: one character is expected")));
        };
        options = options.delimiter(byte);
    }
    let csv = options.open(file)?;
    let table = TableOptions::new(target);
    let is_class = table.is_classification(&csv)?;
    let summary = csv.summary();
    let plan = Columns::of(summary, target);
    // What is wrong with the table shows now, and how many features there are.
    let fitted = plan.options(target, is_class).fit(&csv)?;
    let (features, classes) = (fitted.features(), fitted.class_names().unwrap_or_default());

    let mut report: Vec<String> = summary.to_string().lines().map(str::to_owned).collect();
    report.push(match is_class {
        true => format!("target {target}: {} classes{}", classes.len(), balance(summary, target)),
        false => format!("target {target}: a number, regression"),
    });
    report.extend(plan.ignored.iter().map(|(name, why)| format!("ignored: {name} ({why})")));
    if let Some(missing) = plan.missing() {
        report.push(missing);
    }
    report.push(format!("{features} features"));

    let mut toml = String::new();
    toml += &comments(["Settings for `kiln train --config`, written by `kiln init csv`."]);
    toml += &comments(&report);
    let _ = writeln!(toml, "\nseed = 0");
    let metrics = if is_class { &["Accuracy"][..] } else { &["R2", "Mae"] };
    let _ = writeln!(toml, "metrics = {}", list(metrics));
    toml += &plan.data(path, target, is_class, delimiter);
    toml += &model(summary.rows, is_class, classes.len());
    toml += &rest(summary.rows, is_class);
    Ok(Found { report, toml })
}

/// How frequent the classes are.
fn balance(summary: &CsvSummary, target: &str) -> String {
    let Some(column) = summary.column(target) else { return String::new() };
    let shown = column.frequent.iter().take(SHOWN).map(|(class, count)| format!("{class} {count}"));
    let rest = if column.frequent.len() > SHOWN { ", …" } else { "" };
    format!(" ({}{rest})", shown.collect::<Vec<_>>().join(", "))
}

/// What becomes of the columns beside the target.
struct Columns<'s> {
    used: Vec<&'s ColumnSummary>,
    /// With the reason.
    ignored: Vec<(&'s str, &'static str)>,
    target_missing: usize,
    rows: usize,
}

impl<'s> Columns<'s> {
    fn of(summary: &'s CsvSummary, target: &str) -> Self {
        let mut columns = Columns { used: Vec::new(), ignored: Vec::new(), target_missing: 0, rows: summary.rows };
        for column in &summary.columns {
            if column.name == target {
                columns.target_missing = column.missing;
                continue;
            }
            match no_feature(column, summary.rows) {
                Some(why) => columns.ignored.push((&column.name, why)),
                None => columns.used.push(column),
            }
        }
        columns
    }

    fn missing(&self) -> Option<String> {
        let missing: Vec<String> =
            self.used.iter().filter(|column| column.missing > 0).map(|c| c.name.clone()).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "missing values in {}: the median stands for numbers, the most frequent value for others",
                missing.join(", ")
            )
        })
    }

    fn options(&self, target: &str, is_class: bool) -> TableOptions {
        let options = TableOptions::new(target).ignore(self.ignored.iter().map(|(name, _)| *name));
        let options = if is_class { options.classes() } else { options.regression() };
        let options = if self.missing().is_some() { options.missing(Missing::Median) } else { options };
        if self.target_missing > 0 { options.missing_in(target, Missing::DropRow) } else { options }
    }

    /// The table `data`.
    fn data(&self, path: &str, target: &str, is_class: bool, delimiter: Option<&str>) -> String {
        let ignored: Vec<&str> = self.ignored.iter().map(|(name, _)| *name).collect();
        let mut text = String::from("\n[data]\nkind = \"csv\"\n");
        let _ = writeln!(text, "path = {}", quoted(path));
        if let Some(delimiter) = delimiter {
            let _ = writeln!(text, "delimiter = {}", quoted(delimiter));
        }
        let _ = writeln!(text, "target = {}", quoted(target));
        let task = if is_class { "classification" } else { "regression" };
        let _ = writeln!(text, "task = \"{task}\"");
        let _ = writeln!(text, "ignore = {} # columns that are no features", list(&ignored));
        match self.missing() {
            Some(_) => {
                text += "missing = \"median\" # or \"mean\", \"mode\", \"drop-row\", \"refuse\", { value = 0 }\n"
            }
            None => text += "missing = \"refuse\" # or \"mean\", \"median\", \"mode\", \"drop-row\", { value = 0 }\n",
        }
        text += "encoding = \"one-hot\" # of categories; or \"index\"\n";
        text += "test = 0.2 # a share of the rows, or a file\n";
        text += match self.rows < SMALL {
            true => {
                "# validation = 0.1 # of the rest, where training is to end by it: [[callbacks]] name = \"EarlyStopping\"\n"
            }
            false => "validation = 0.1 # of the rest: what early stopping goes by\n",
        };
        text += "split_seed = 0\n";
        if self.target_missing > 0 {
            let _ = writeln!(text, "\n[data.missing_in]\n{} = \"drop-row\"", quoted(target));
        }
        text
    }
}

/// Why a column is no feature.
fn no_feature(column: &ColumnSummary, rows: usize) -> Option<&'static str> {
    let numbers_rows = || {
        let (Some(low), Some(high)) = (column.minimum, column.maximum) else { return false };
        column.missing == 0 && column.distinct == Some(rows) && high - low + 1.0 == rows as f64 && rows > 20
    };
    match column.kind {
        ColumnKind::Date => Some("a date"),
        ColumnKind::Text => Some("text"),
        ColumnKind::Empty => Some("no value"),
        ColumnKind::Mixed => Some("numbers and other things mixed"),
        ColumnKind::Integer if numbers_rows() => Some("it numbers the rows"),
        ColumnKind::Category if column.distinct.is_none_or(|distinct| distinct > MOST_CATEGORIES) => {
            Some("more than 100 categories")
        }
        _ if column.distinct == Some(1) && column.missing == 0 => Some("one value only"),
        _ => None,
    }
}

fn model(rows: usize, is_class: bool, classes: usize) -> String {
    let units = if rows < 100_000 { 64 } else { 256 };
    let rate = if rows < SMALL { 0.5 } else { 0.1 };
    let mut text = String::from("\n[model]\nlayers = [\n");
    text += "    { layer = \"Normalization\" }, # mean 0 and variance 1, learned on the training rows\n";
    for _ in 0..2 {
        let _ = writeln!(text, "    {{ layer = \"Dense\", units = {units}, activation = \"relu\" }},");
        let _ = writeln!(text, "    {{ layer = \"Dropout\", rate = {rate} }},");
    }
    if is_class {
        let _ = writeln!(text, "    {{ layer = \"Dense\", units = {classes}, activation = \"softmax\" }},");
    } else {
        text += "    { layer = \"Dense\", units = 1 },\n";
        text += "    { layer = \"Normalization\", invert = true }, # back to the target's mean and variance\n";
    }
    text + "]\n"
}

/// Loss, optimizer and training. Of a small table all rows that are not tested on are trained on, for a fixed number of steps: too few
/// would be left to end the training by. A number is learned more carefully than classes, which are told apart or not.
fn rest(rows: usize, is_class: bool) -> String {
    let small = rows < SMALL;
    let (epochs, batch_size) = training(rows * 8 / 10, if small && !is_class { STEPS / 2 } else { STEPS });
    let loss = if is_class { "SparseCategoricalCrossentropy" } else { "MeanSquaredError" };
    let (lr, weight_decay) = match (small, is_class) {
        (true, true) => (0.005, 0.01),
        (true, false) => (0.002, 0.1),
        (false, _) => (0.002, 0.01),
    };
    let stopping = if small { String::new() } else { stopping((epochs / 5).max(2)) };
    format!(
        "\n[loss]\nname = \"{loss}\"\n\n[optimizer]\nname = \"AdamW\"\nlr = {lr}\nweight_decay = {weight_decay}\n\n\
         [schedule]\nname = \"CosineDecay\"\n\n{stopping}[training]\nepochs = {epochs}\nbatch_size = {batch_size}\n"
    )
}
