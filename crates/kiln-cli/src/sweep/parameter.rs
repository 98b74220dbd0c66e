//! A parameter of a sweep: a setting's path and the values that it may have.

use super::trials::MOST;
use super::values::{Values, number, rounded};
use crate::settings::{Entry, Node, Place, Section, Table, Value};
use kiln::{Error, ErrorKind, Result};

/// A setting that is searched over.
#[derive(Clone)]
pub(super) struct Parameter {
    /// As of `--set`: `optimizer.lr`.
    pub(super) path: String,
    pub(super) values: Values,
}

/// The parameters of a table, whose keys are paths; a path without quotes, `optimizer.lr`, makes tables in tables.
pub(super) fn parameters(node: &Node) -> Result<Vec<Parameter>> {
    let mut found = Vec::new();
    add(&mut found, "", node)?;
    match found.is_empty() {
        true => {
            Err(wrong(&node.place, "parameters: at least one is expected, such as \"optimizer.lr\" = [0.01, 0.001]"))
        }
        false => Ok(found),
    }
}

/// Adds a parameter. With quotes and without them a path can stand in the file twice.
fn push(found: &mut Vec<Parameter>, path: &str, values: Values, place: &Place) -> Result<()> {
    if found.iter().any(|parameter| parameter.path == path) {
        return Err(wrong(place, &format!("parameters.{path}: this parameter is there twice; leave one of them out")));
    }
    found.push(Parameter { path: path.to_owned(), values });
    Ok(())
}

/// Whether a table is a range: the bounds are numbers. A setting may be called `min` too, and has a list or a table.
fn is_range(table: &Table) -> bool {
    let is_bound = |entry: &Entry| ["min", "max"].contains(&entry.key.as_str());
    table.iter().any(|entry| is_bound(entry) && !matches!(entry.node.value, Value::List(_) | Value::Table(_)))
}

fn add(found: &mut Vec<Parameter>, path: &str, node: &Node) -> Result<()> {
    let Value::Table(table) = &node.value else {
        return push(found, path, choices(path, node)?, &node.place);
    };
    if is_range(table) {
        return push(found, path, range(path, node)?, &node.place);
    }
    table.iter().try_for_each(|entry| {
        let below = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        add(found, &below, &entry.node)
    })
}

fn choices(path: &str, node: &Node) -> Result<Values> {
    match &node.value {
        Value::List(list) if list.is_empty() => {
            Err(wrong(&node.place, &format!("parameters.{path}: the list is empty; at least one value is expected")))
        }
        Value::List(list) => Ok(Values::Choices(list.clone())),
        _ => Err(wrong(
            &node.place,
            &format!("parameters.{path}: a list of values or {{ min = …, max = … }} is expected, got {}", node.kind()),
        )),
    }
}

fn range(path: &str, node: &Node) -> Result<Values> {
    let section = Section::of(node, &format!("parameters.{path}"))?;
    let (min, max): (f64, f64) = (section.need("min")?, section.need("max")?);
    let (log, points) = (section.or("log", false)?, section.get::<usize>("points")?);
    let whole = |key| section.node(key).filter(|node| matches!(node.value, Value::Integer(_)));
    let are_whole = whole("min").is_some() && whole("max").is_some();
    let step: Option<f64> = section.get("step")?;
    section.done()?;
    match step {
        _ if !(min.is_finite() && max.is_finite()) => {
            return Err(section.wrong("min", "finite numbers are expected"));
        }
        _ if min > max => return Err(section.wrong("min", &format!("{min} is above max, {max}"))),
        _ if log && min <= 0.0 => return Err(section.wrong("min", "with `log` a number above 0 is expected")),
        _ if points == Some(0) => return Err(section.wrong("points", "at least 1 is expected")),
        _ if points.is_some_and(|points| points > MOST) => {
            return Err(section.wrong("points", &format!("at most {MOST} are possible")));
        }
        Some(step) if !(step > 0.0 && step.is_finite()) => {
            return Err(section.wrong("step", "a number above 0 is expected"));
        }
        Some(_) if log || points.is_some() => {
            return Err(section.wrong("step", "`step` goes without `log` and `points`: name one of them"));
        }
        _ => {}
    }
    if !are_whole {
        return match step {
            Some(step) => stepped(&section, min, max, step),
            None => Ok(Values::Number { min, max, log, points }),
        };
    }
    let (min, max): (i64, i64) = (section.need("min")?, section.need("max")?);
    let step = match step {
        Some(step) if step.fract() != 0.0 => {
            return Err(section.wrong("step", "a whole number is expected, as min and max are"));
        }
        Some(step) => step as u64,
        None => 1,
    };
    Ok(Values::Whole { min, max, step, log, points })
}

fn stepped(section: &Section<'_>, min: f64, max: f64, step: f64) -> Result<Values> {
    let count = ((max - min) / step + 1e-9).floor() + 1.0;
    if count > MOST as f64 {
        return Err(section.wrong("step", &format!("{step} makes more than {MOST} values")));
    }
    Ok(Values::Choices((0..count as u32).map(|i| number(rounded(min + f64::from(i) * step))).collect()))
}

fn wrong(place: &Place, why: &str) -> Error {
    Error::new(ErrorKind::Format, "", format!("{place}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn of(text: &str) -> Result<Vec<Parameter>> {
        parameters(&Node::parse(text, Path::new("my.toml")).unwrap())
    }

    #[test]
    fn paths_may_be_without_quotes() {
        let found = of("optimizer.lr = [1]\n\"data.x\".y = [2]").unwrap();
        assert_eq!(found.iter().map(|parameter| &*parameter.path).collect::<Vec<_>>(), ["optimizer.lr", "data.x.y"]);
    }

    #[test]
    fn a_setting_may_be_called_min() {
        let found = of("clip.min = [0, 1]\nclip.max = { min = 2, max = 3 }").unwrap();
        assert_eq!(found.iter().map(|parameter| &*parameter.path).collect::<Vec<_>>(), ["clip.min", "clip.max"]);
        assert_eq!(found[1].values.count(), Some(2));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, says) in [
            ("", "my.toml:1:1: parameters: at least one is expected"),
            ("a = []", "my.toml:1:5: parameters.a: the list is empty"),
            ("a.b = 3", "my.toml:1:7: parameters.a.b: a list of values or { min = …, max = … } is expected, got 3"),
            ("a = { min = 3, max = 2 }", "my.toml:1:13: parameters.a.min: 3 is above max, 2"),
            ("a = { min = 0.0, max = 1.0, log = true }", "parameters.a.min: with `log` a number above 0 is expected"),
            ("a = { min = 1, max = 4, step = 0 }", "parameters.a.step: a number above 0 is expected"),
            ("a = { min = 1, max = 4, step = 0.5 }", "parameters.a.step: a whole number is expected"),
            ("a = { min = 1, max = 4, step = 2, log = true }", "parameters.a.step: `step` goes without"),
            ("a = { min = 1, mx = 4 }", "`parameters.a.max`, a number, is missing"),
            ("a = { min = 1, max = 4, lg = true }", "unknown setting `parameters.a.lg`; the nearest is `log`"),
            ("a = { min = 1, max = inf }", "finite numbers are expected"),
            ("a = { min = 0.0, max = 1.0, points = 1000000000000 }", "parameters.a.points: at most 10000 are possible"),
            ("\"a.b\" = [1]\na.b = [2]", "my.toml:2:7: parameters.a.b: this parameter is there twice"),
        ] {
            let error = of(text).err().unwrap();
            assert!(error.message().contains(says), "{text}: {error}");
        }
    }
}
