//! Learning of the training rows of a table.

use super::bind::{no_target, number_in};
use super::learned::Learned;
use super::stats::Stats;
use super::summary::{ColumnKind, ColumnSummary};
use super::table::{Form, TableEncoder, Target};
use super::table_options::{Encoding, Missing, TableOptions, Use};
use super::tables::{Csv, Row};
use super::values::short;
use kiln_tensor::{Error, Result};

/// Whole numbers as a target are classes where at most this many are different.
const CLASSES: usize = 20;

pub(super) fn fit(options: &TableOptions, train: &Csv) -> Result<TableEncoder> {
    check(options, train)?;
    let mut columns = features(options, train)?;
    let place = train.column(&options.target)?;
    let classes = match options.classes {
        Some(classes) => classes,
        None => is_class(train, &train.summary().columns[place])?,
    };
    let drop_missing = options.missing_in.get(&options.target).unwrap_or(&options.missing) == &Missing::DropRow;
    let (mut target, mut rows) = (Stats::default(), 0);
    train.each_row(|row| {
        if !complete(row, &columns, place, drop_missing)? {
            return Ok(());
        }
        rows += 1;
        columns.iter_mut().try_for_each(|column| column.see(row))?;
        let (text, value) = row.value(place)?;
        if !classes {
            number_in(row, place, text)?;
        }
        target.add(text, value, row.number());
        Ok(())
    })?;
    if rows == 0 {
        return Err(train.wrong("there is no training row, or each lacks a value"));
    }
    let features = columns.into_iter().map(|column| column.finish(train)).collect::<Result<_>>()?;
    let classes = if classes { Some(class_names(options, train, &target)?) } else { None };
    Ok(TableEncoder { features, target: Target { column: options.target.clone(), classes, drop_missing } })
}

/// Whether all names that the options have are columns, and none has two roles.
fn check(options: &TableOptions, train: &Csv) -> Result<()> {
    let TableOptions { target, ignored, uses, missing_in, .. } = options;
    let named = ignored.iter().chain(uses.keys()).chain(missing_in.keys());
    std::iter::once(target).chain(named).try_for_each(|name| train.column(name).map(drop))?;
    let wrong = |message: String| Err(Error::value("TableOptions", message));
    if ignored.contains(target) {
        return wrong(format!("the column {target:?} is the target, and is to be ignored"));
    }
    if uses.contains_key(target) {
        return wrong(format!("the column {target:?} is the target: `classes` or `regression` says what it holds"));
    }
    match ignored.iter().find(|name| uses.contains_key(*name)) {
        Some(name) => wrong(format!("the column {name:?} is to be a feature, and to be ignored")),
        None => Ok(()),
    }
}

/// The columns that are features.
fn features<'a>(options: &'a TableOptions, train: &'a Csv) -> Result<Vec<Learned<'a>>> {
    let (mut learned, mut unfit) = (Vec::new(), Vec::new());
    for (place, column) in train.summary().columns.iter().enumerate() {
        let name = column.name.as_str();
        if name == options.target || options.ignored.iter().any(|ignored| ignored == name) {
            continue;
        }
        let Some(form) = form(options, column) else {
            unfit.push(column);
            continue;
        };
        let missing = options.missing_in.get(name).unwrap_or(&options.missing);
        let median = missing == &Missing::Median && form == Form::Number;
        learned.push(Learned { name, place, form, missing, stats: Stats::with_numbers(median) });
    }
    if !unfit.is_empty() {
        return Err(no_features(train, &unfit));
    }
    if learned.is_empty() {
        return Err(train.wrong("no column is left that could be a feature"));
    }
    Ok(learned)
}

/// What a column becomes; none where it is no feature.
fn form(options: &TableOptions, column: &ColumnSummary) -> Option<Form> {
    let encoded = |encoding| match encoding {
        Encoding::OneHot => Form::OneHot { categories: Vec::new() },
        Encoding::Index => Form::Index { categories: Vec::new() },
    };
    match (options.uses.get(&column.name), column.kind) {
        (Some(Use::Number), _) => Some(Form::Number),
        (Some(Use::Category(encoding)), _) => Some(encoded(*encoding)),
        (None, ColumnKind::Integer | ColumnKind::Float) => Some(Form::Number),
        (None, ColumnKind::Boolean) => Some(Form::Boolean),
        (None, ColumnKind::Category) => Some(encoded(options.encoding)),
        (None, ColumnKind::Text | ColumnKind::Date | ColumnKind::Mixed | ColumnKind::Empty) => None,
    }
}

#[cold]
fn no_features(train: &Csv, unfit: &[&ColumnSummary]) -> Error {
    if let Some((name, (number, value))) = unfit.iter().find_map(|column| Some((&column.name, column.odd.as_ref()?))) {
        return train.wrong(&format!(
            "{} {number}: column {name:?}: {value} is no number, as most values of the column are: correct it, declare it missing with \
             `CsvOptions::missing`, or say that the column holds categories with `TableOptions::category`",
            train.summary().numbering
        ));
    }
    let names: Vec<String> = unfit.iter().map(|column| format!("{:?} ({})", column.name, column.kind)).collect();
    train.wrong(&format!(
        "these columns are no features: {}: leave them out with `TableOptions::ignore`, or take their values for categories with \
         `TableOptions::category`",
        names.join(", ")
    ))
}

/// Whether a target is a class, by what it holds.
pub(super) fn is_class(train: &Csv, target: &ColumnSummary) -> Result<bool> {
    let present = train.summary().seen - target.missing;
    match target.kind {
        ColumnKind::Float => Ok(false),
        ColumnKind::Integer => Ok(target.distinct.is_some_and(|d| d <= CLASSES && 2 * d <= present)),
        ColumnKind::Boolean | ColumnKind::Category | ColumnKind::Text => Ok(true),
        ColumnKind::Mixed | ColumnKind::Date | ColumnKind::Empty => Err(train.wrong(&format!(
            "the target {:?} is a column of kind {}: `TableOptions::classes` takes its values for classes, `regression` for numbers",
            target.name, target.kind
        ))),
    }
}

/// Whether a row is used for fitting: rows that are to be left out are not.
fn complete(row: &Row<'_>, columns: &[Learned<'_>], target: usize, drop_missing: bool) -> Result<bool> {
    if row.present(target)?.is_none() {
        return if drop_missing { Ok(false) } else { Err(no_target(row, target)) };
    }
    for column in columns {
        if column.missing == &Missing::DropRow && row.present(column.place)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn class_names(options: &TableOptions, train: &Csv, target: &Stats) -> Result<Vec<String>> {
    let name = &options.target;
    let Some(classes) = target.values() else {
        return Err(train.wrong(&format!("the target {name:?} has too many different values to be classes")));
    };
    if let [(class, _)] = classes[..] {
        let message =
            format!("the target {name:?} has one class only in the training rows, {}: two are needed", short(class));
        return Err(train.wrong(&message));
    }
    Ok(classes.into_iter().map(|(class, _)| class.to_owned()).collect())
}
