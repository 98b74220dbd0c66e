//! The rows of a table in the order of time, as numbers.

use super::time::Time;
use crate::Csv;
use crate::csv::{number, short, wrong_in};
use kiln_tensor::{Error, Result};
use std::cmp::Ordering;

/// The rows in the order of a time column; without one they are in order already.
pub(super) fn in_time_order(csv: &Csv, time: Option<&str>) -> Result<Csv> {
    let Some(time) = time else { return Ok(csv.clone()) };
    let mut times: Vec<(Time, usize)> = Vec::with_capacity(csv.len());
    csv.for_each(&[time], |values| {
        let text = values[0].ok_or_else(|| wrong_in(time, "the time is missing"))?;
        let now = Time::of(text).ok_or_else(|| no_time(time, text))?;
        if times.first().is_some_and(|&(first, _)| !first.is_like(now)) {
            let message = format!("{} and the time of the first row are not both numbers or both dates", short(text));
            return Err(wrong_in(time, &message));
        }
        times.push((now, times.len()));
        Ok(())
    })?;
    // Times are alike and not NaN.
    times.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    if let Some(pair) = times.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        // The table tells the line of the row.
        csv.select([pair[1].1])?.for_each(&[time], |values| {
            let text = short(values[0].unwrap_or_default());
            Err(wrong_in(time, &format!("{text} is there twice: a series has one row at a time")))
        })?;
    }
    csv.select(times.into_iter().map(|(_, row)| row))
}

#[cold]
fn no_time(name: &str, text: &str) -> Error {
    let message = format!("{} is neither a number nor a date such as 2024-12-31 or 2024-12-31T23:59:59", short(text));
    wrong_in(name, &message)
}

/// The numbers in these columns, row after row. With `fill` a missing one is that of the row before.
pub(super) fn numbers(csv: &Csv, columns: &[&str], fill: bool) -> Result<Vec<f32>> {
    let mut numbers: Vec<f32> = Vec::with_capacity(csv.len() * columns.len());
    csv.for_each(columns, |values| {
        for (&column, &value) in columns.iter().zip(values) {
            let before = numbers.len().checked_sub(columns.len()).filter(|_| fill).map(|at| numbers[at]);
            numbers.push(match (value, before) {
                (Some(text), _) => number_of(column, text)?,
                (None, Some(before)) => before,
                (None, None) => return Err(missing(column, fill)),
            });
        }
        Ok(())
    })?;
    Ok(numbers)
}

fn number_of(column: &str, text: &str) -> Result<f32> {
    match number(text).map(|number| number as f32) {
        Some(number) if number.is_finite() => Ok(number),
        Some(_) => Err(wrong_in(column, &format!("{} is too large: features and targets are f32", short(text)))),
        None => Err(wrong_in(column, &format!("{} is no number", short(text)))),
    }
}

#[cold]
fn missing(column: &str, fill: bool) -> Error {
    let why =
        if fill { "there is no value before it" } else { "`SeriesOptions::fill_forward` takes the value before it" };
    wrong_in(column, &format!("the value is missing: {why}"))
}
