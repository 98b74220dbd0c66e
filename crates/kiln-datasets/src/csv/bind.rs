//! A table's columns found in a file: rows become numbers.

use super::table::{Feature, Filled, Form, TableEncoder};
use super::tables::{Csv, Row, list};
use super::values::{boolean, number, short};
use kiln_tensor::{Device, Error, ErrorKind, Result, Tensor, nearest};
use std::collections::HashMap;

/// The features and the target of a table, by the places of their columns in a file.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    columns: Vec<Column>,
    width: usize,
    pub(super) target: Target,
}

#[derive(Clone, Debug)]
struct Column {
    place: usize,
    kind: Kind,
    missing: Fill,
}

#[derive(Clone, Debug)]
enum Kind {
    Number,
    Boolean,
    OneHot(Classes),
    Index(Classes),
}

/// What a missing value is: the number of the column, or of the category.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Refuse,
    DropRow,
    With(f64),
}

#[derive(Clone, Debug)]
pub(super) struct Target {
    name: String,
    /// A number without.
    classes: Option<Classes>,
    drop_missing: bool,
}

/// The index of each category or class.
#[derive(Clone, Debug)]
struct Classes(HashMap<String, usize>);

impl Classes {
    fn new(names: &[String]) -> Self {
        Classes(names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect())
    }

    fn index(&self, row: &Row<'_>, place: usize, text: &str, what: &str) -> Result<usize> {
        self.0.get(text).copied().ok_or_else(|| {
            let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            names.sort_unstable();
            let hint = match nearest(text, names.iter().copied()) {
                Some(nearest) => format!("the nearest is {}", short(nearest)),
                None => format!("there are {}", list(names.into_iter())),
            };
            row.wrong(place, &format!("{} is not among the {what} of the training rows: {hint}", short(text)))
        })
    }
}

impl TableEncoder {
    /// Finds the features' columns.
    pub(super) fn bind(&self, csv: &Csv) -> Result<Bound> {
        let lacking = self.features.iter().map(|feature| feature.column.as_str());
        let lacking: Vec<&str> = lacking.filter(|&name| csv.column(name).is_err()).collect();
        if !lacking.is_empty() {
            return Err(lacks(csv, &lacking));
        }
        let columns: Vec<Column> = self.features.iter().map(|f| column(f, csv)).collect::<Result<_>>()?;
        if columns.is_empty() {
            return Err(broken("there is no feature"));
        }
        let target = Target {
            name: self.target.column.clone(),
            classes: self.class_names().map(Classes::new),
            drop_missing: self.target.drop_missing,
        };
        Ok(Bound { columns, width: self.features(), target })
    }
}

#[cold]
fn lacks(csv: &Csv, lacking: &[&str]) -> Error {
    let names = csv.columns().iter().map(String::as_str);
    let hint = match lacking.iter().find_map(|name| nearest(name, names.clone())) {
        Some(nearest) => format!("the nearest name is {nearest:?}"),
        None => format!("there are {}", list(names)),
    };
    let column = if lacking.len() == 1 { "the column" } else { "the columns" };
    let lacking = list(lacking.iter().copied());
    csv.wrong(&format!("{column} {lacking}, which the features are made of, is not there: {hint}"))
}

#[cold]
fn broken(message: &str) -> Error {
    Error::new(
        ErrorKind::Format,
        "TableEncoder",
        format!("the table's JSON does not hold what `fit` has learned: {message}"),
    )
}

fn column(feature: &Feature, csv: &Csv) -> Result<Column> {
    let categories = feature.form.categories();
    let of_categories = matches!(feature.form, Form::OneHot { .. } | Form::Index { .. });
    let known = |name: &String| categories.iter().position(|category| category == name);
    let missing = match &feature.missing {
        Filled::Refuse => Fill::Refuse,
        Filled::DropRow => Fill::DropRow,
        Filled::Number(number) if !of_categories && fits(*number) => Fill::With(*number),
        Filled::Category(name) if of_categories => {
            let index = known(name).ok_or_else(|| broken(&format!("the category {name:?} is not in its list")))?;
            Fill::With(index as f64)
        }
        _ => return Err(broken(&format!("what stands for missing values of {:?} does not fit", feature.column))),
    };
    if of_categories && categories.is_empty() {
        return Err(broken(&format!("{:?} has no categories", feature.column)));
    }
    let kind = match &feature.form {
        Form::Number => Kind::Number,
        Form::Boolean => Kind::Boolean,
        Form::OneHot { categories } => Kind::OneHot(Classes::new(categories)),
        Form::Index { categories } => Kind::Index(Classes::new(categories)),
    };
    Ok(Column { place: csv.column(&feature.column)?, kind, missing })
}

impl Bound {
    /// Features of a row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether the target is a class.
    pub(super) fn has_classes(&self) -> bool {
        self.target.classes.is_some()
    }

    /// The label or number of a row whose features are added to `out`; none of a row that is to be left out, whatever else is
    /// wrong with it.
    pub(super) fn sample(&self, row: &Row<'_>, target: usize, out: &mut Vec<f32>) -> Result<Option<f64>> {
        let Some(text) = self.target.text(row, target)? else { return Ok(None) };
        for column in self.columns.iter().filter(|column| matches!(column.missing, Fill::DropRow)) {
            if row.present(column.place)?.is_none() {
                return Ok(None);
            }
        }
        self.features(row, out)?;
        self.target.value(row, target, text).map(Some)
    }

    fn features(&self, row: &Row<'_>, out: &mut Vec<f32>) -> Result<()> {
        self.columns.iter().try_for_each(|column| column.add(row, out))
    }

    /// The features of all rows.
    pub(super) fn inputs(&self, csv: &Csv) -> Result<Tensor> {
        let mut values = Vec::with_capacity(csv.len() * self.width);
        csv.each_row(|row| self.features(row, &mut values))?;
        Tensor::from_vec(values, [csv.len(), self.width], &Device::cpu())
    }
}

impl Column {
    fn add(&self, row: &Row<'_>, out: &mut Vec<f32>) -> Result<()> {
        let place = self.place;
        let value = match (row.present(place)?, self.missing) {
            (Some(text), _) => self.value(row, text)?,
            (None, Fill::With(value)) => value,
            (None, Fill::DropRow) => {
                return Err(
                    row.wrong(place, "the value is missing, and nothing stands for it: training left such rows out")
                );
            }
            (None, Fill::Refuse) => return Err(refused(row, place)),
        };
        match &self.kind {
            Kind::OneHot(classes) => {
                let start = out.len();
                out.resize(start + classes.0.len(), 0.0);
                out[start + value as usize] = 1.0;
            }
            _ => out.push(value as f32),
        }
        Ok(())
    }

    fn value(&self, row: &Row<'_>, text: &str) -> Result<f64> {
        match &self.kind {
            Kind::Number => number_in(row, self.place, text),
            Kind::Boolean => boolean_in(row, self.place, text).map(|value| f64::from(u8::from(value))),
            Kind::OneHot(classes) | Kind::Index(classes) => {
                classes.index(row, self.place, text, "categories").map(|index| index as f64)
            }
        }
    }
}

impl Target {
    /// The target's column, which predictions do without.
    pub(super) fn place(&self, csv: &Csv) -> Result<usize> {
        csv.column(&self.name)
    }

    /// What a row has; none where the row is to be left out.
    fn text<'r>(&self, row: &Row<'r>, place: usize) -> Result<Option<&'r str>> {
        match row.present(place)? {
            None if !self.drop_missing => Err(no_target(row, place)),
            text => Ok(text),
        }
    }

    /// The label or number that it is.
    fn value(&self, row: &Row<'_>, place: usize, text: &str) -> Result<f64> {
        match &self.classes {
            Some(classes) => classes.index(row, place, text, "classes").map(|index| index as f64),
            None => number_in(row, place, text),
        }
    }
}

/// A number that f32 can hold, or what is wrong with it.
pub(super) fn number_in(row: &Row<'_>, place: usize, text: &str) -> Result<f64> {
    match number(text) {
        Some(number) if fits(number) => Ok(number),
        Some(_) => Err(row.wrong(place, &format!("{} is too large: features and targets are f32", short(text)))),
        None => {
            let way_out = "correct it, or declare it missing with `CsvOptions::missing`";
            Err(row.wrong(place, &format!("{} is no number: {way_out}", short(text))))
        }
    }
}

/// Whether f32 has no infinity for it.
pub(super) fn fits(number: f64) -> bool {
    (number as f32).is_finite()
}

/// true or false, or what is wrong with it.
pub(super) fn boolean_in(row: &Row<'_>, place: usize, text: &str) -> Result<bool> {
    boolean(text).ok_or_else(|| row.wrong(place, &format!("{} is neither true nor false", short(text))))
}

#[cold]
pub(super) fn refused(row: &Row<'_>, place: usize) -> Error {
    row.wrong(place, "the value is missing: `TableOptions::missing` says what stands for it, or leaves such rows out")
}

#[cold]
pub(super) fn no_target(row: &Row<'_>, place: usize) -> Error {
    row.wrong(place, "the target is missing: `TableOptions::missing_in` with `Missing::DropRow` leaves such rows out")
}
