//! A parameter of a sweep: a setting's path and the values that it may have.

use crate::settings::{Node, Place, Section, Value};
use kiln::math::RandomStream;
use kiln::{Error, ErrorKind, Result};
use std::sync::Arc;

/// Digits that a number from a range has: enough to tell two apart, few enough to be read.
const DIGITS: usize = 4;

/// A setting that is searched over.
#[derive(Clone)]
pub(super) struct Parameter {
    /// As of `--set`: `optimizer.lr`.
    pub(super) path: String,
    pub(super) values: Values,
}

/// What a parameter may be.
#[derive(Clone)]
pub(super) enum Values {
    /// One of these.
    Choices(Vec<Node>),
    /// A whole number: `min`, `min + step`, … up to `max`; with `step` 0 any of the range, by its logarithm.
    Whole {
        min: i64,
        max: i64,
        step: u64,
        points: Option<usize>,
    },
    Number {
        min: f64,
        max: f64,
        log: bool,
        points: Option<usize>,
    },
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

fn add(found: &mut Vec<Parameter>, path: &str, node: &Node) -> Result<()> {
    let Value::Table(table) = &node.value else {
        let values = Values::choices(path, node)?;
        found.push(Parameter { path: path.to_owned(), values });
        return Ok(());
    };
    if table.iter().any(|entry| ["min", "max"].contains(&entry.key.as_str())) {
        found.push(Parameter { path: path.to_owned(), values: Values::range(path, node)? });
        return Ok(());
    }
    table.iter().try_for_each(|entry| {
        let below = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        add(found, &below, &entry.node)
    })
}

impl Values {
    fn choices(path: &str, node: &Node) -> Result<Values> {
        match &node.value {
            Value::List(list) if list.is_empty() => Err(wrong(
                &node.place,
                &format!("parameters.{path}: the list is empty; at least one value is expected"),
            )),
            Value::List(list) => Ok(Values::Choices(list.clone())),
            _ => Err(wrong(
                &node.place,
                &format!(
                    "parameters.{path}: a list of values or {{ min = …, max = … }} is expected, got {}",
                    node.kind()
                ),
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
            None => u64::from(!log),
        };
        Ok(Values::Whole { min, max, step, points })
    }

    /// How many values there are, where they can be counted.
    pub(super) fn count(&self) -> Option<u64> {
        match *self {
            Values::Choices(ref choices) => Some(choices.len() as u64),
            Values::Whole { min, max, step, .. } => Some(max.abs_diff(min) / step.max(1) + 1),
            Values::Number { min, max, .. } => (min == max).then_some(1),
        }
    }

    /// The values of a grid.
    pub(super) fn grid(&self, path: &str) -> Result<Vec<Node>> {
        let points = |points: Option<usize>| {
            points.ok_or_else(|| {
                let message = format!(
                    "parameters.{path}: a grid needs the number of points of a range, `points = 5`, or a list of values"
                );
                Error::value("", message)
            })
        };
        Ok(match *self {
            Values::Choices(ref choices) => choices.clone(),
            Values::Whole { min, max, step: 0, points: some } => {
                let mut values = spaced(min as f64, max as f64, true, points(some)?, |at| at.round());
                values.dedup();
                values.into_iter().map(|value| whole(value as i64)).collect()
            }
            Values::Whole { min, max, points: Some(points), .. } => {
                let mut values = spaced(min as f64, max as f64, false, points, |at| at.round());
                values.dedup();
                values.into_iter().map(|value| whole(value as i64)).collect()
            }
            Values::Whole { min, step, .. } => {
                let count = self.count().unwrap_or(1).min(super::trials::MOST as u64 + 1);
                (0..count).map(|i| whole(min.saturating_add_unsigned(i * step))).collect()
            }
            Values::Number { min, max, log, points: some } => {
                spaced(min, max, log, points(some)?, rounded).into_iter().map(number).collect()
            }
        })
    }

    /// A value at random, each of them equally likely; with `log` its logarithm is.
    pub(super) fn draw(&self, stream: &mut RandomStream) -> Node {
        match *self {
            Values::Choices(ref choices) => choices[stream.below(choices.len() as u32) as usize].clone(),
            Values::Whole { min, max, step: 0, .. } => {
                let value = between(min as f64, max as f64, true, stream.uniform_f64());
                whole((value.round() as i64).clamp(min, max))
            }
            Values::Whole { min, step, .. } => {
                let count = self.count().unwrap_or(1);
                let place = (stream.uniform_f64() * count as f64) as u64;
                whole(min.saturating_add_unsigned(place.min(count - 1) * step))
            }
            Values::Number { min, max, log, .. } => {
                number(rounded(between(min, max, log, stream.uniform_f64())).clamp(min, max))
            }
        }
    }

    /// Values to be tried before the work: all choices, or the ends of a range.
    pub(super) fn ends(&self) -> Vec<Node> {
        match *self {
            Values::Choices(ref choices) => choices.clone(),
            Values::Whole { min, max, .. } => vec![whole(min), whole(max)],
            Values::Number { min, max, .. } => vec![number(min), number(max)],
        }
    }

    /// Whether it is spread by its logarithm.
    pub(super) fn is_log(&self) -> bool {
        matches!(self, Values::Whole { step: 0, .. } | Values::Number { log: true, .. })
    }
}

fn stepped(section: &Section<'_>, min: f64, max: f64, step: f64) -> Result<Values> {
    let count = ((max - min) / step + 1e-9).floor() + 1.0;
    if count > super::trials::MOST as f64 {
        return Err(section.wrong("step", &format!("{step} makes more than {} values", super::trials::MOST)));
    }
    Ok(Values::Choices((0..count as u32).map(|i| number(rounded(min + f64::from(i) * step))).collect()))
}

/// So many numbers from the first to the last, at equal differences or ratios.
fn spaced(min: f64, max: f64, log: bool, points: usize, round: fn(f64) -> f64) -> Vec<f64> {
    let last = points.max(2) - 1;
    (0..points).map(|i| round(between(min, max, log, i as f64 / last as f64)).clamp(min, max)).collect()
}

/// The place from 0 to 1 in a range.
fn between(min: f64, max: f64, log: bool, place: f64) -> f64 {
    if log { (min.ln() + place * (max.ln() - min.ln())).exp() } else { min + place * (max - min) }
}

/// With the digits that a drawn number has. (The logarithm's last digits differ between systems.)
fn rounded(value: f64) -> f64 {
    format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value)
}

fn node(value: Value) -> Node {
    Node { place: Place::Option(Arc::from("")), value }
}

fn whole(value: i64) -> Node {
    node(Value::Integer(value.into()))
}

fn number(value: f64) -> Node {
    node(Value::Float(value))
}

fn wrong(place: &Place, why: &str) -> Error {
    Error::new(ErrorKind::Format, "", format!("{place}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln::math::Purpose;
    use std::path::Path;

    fn of(text: &str) -> Result<Vec<Parameter>> {
        parameters(&Node::parse(text, Path::new("my.toml")).unwrap())
    }

    fn grid(text: &str) -> Vec<String> {
        let parameters = of(text).unwrap();
        parameters[0].values.grid("a").unwrap().iter().map(Node::to_toml).collect()
    }

    #[test]
    fn grids_have_the_values_of_their_ranges() {
        assert_eq!(grid("a = [16, \"x\", true]"), ["16", "\"x\"", "true"]);
        assert_eq!(grid("a = { min = 2, max = 9, step = 3 }"), ["2", "5", "8"]);
        assert_eq!(grid("a = { min = 1, max = 3 }"), ["1", "2", "3"]);
        assert_eq!(grid("a = { min = 16, max = 256, log = true, points = 5 }"), ["16", "32", "64", "128", "256"]);
        assert_eq!(grid("a = { min = 0.0, max = 0.5, step = 0.1 }"), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(grid("a = { min = 1e-4, max = 0.1, log = true, points = 4 }"), ["0.0001", "0.001", "0.01", "0.1"]);
        assert_eq!(grid("a = { min = 0.0, max = 1.0, points = 3 }"), ["0.0", "0.5", "1.0"]);
        assert_eq!(of("optimizer.lr = [1]\n\"data.x\".y = [2]").unwrap().map_paths(), ["optimizer.lr", "data.x.y"]);
        let refused = of("a = { min = 0.0, max = 1.0 }").unwrap()[0].values.grid("a").unwrap_err();
        assert!(refused.message().contains("parameters.a: a grid needs the number of points"), "{refused}");
    }

    trait Paths {
        fn map_paths(&self) -> Vec<&str>;
    }

    impl Paths for Vec<Parameter> {
        fn map_paths(&self) -> Vec<&str> {
            self.iter().map(|parameter| parameter.path.as_str()).collect()
        }
    }

    #[test]
    fn draws_cover_their_ranges_evenly() {
        let mut stream = RandomStream::new(1, Purpose::Data, 0);
        let mut draws = |text: &str| -> Vec<f64> {
            let values = of(text).unwrap().remove(0).values;
            (0..2000).map(|_| values.draw(&mut stream).to_json().as_f64().unwrap()).collect()
        };
        let share =
            |draws: &[f64], below: f64| draws.iter().filter(|&&x| x < below).count() as f64 / draws.len() as f64;
        let (lr, units) =
            (draws("a = { min = 1e-4, max = 1.0, log = true }"), draws("a = { min = 10, max = 40, step = 10 }"));
        assert!((share(&lr, 0.01) - 0.5).abs() < 0.05 && lr.iter().all(|lr| (1e-4..=1.0).contains(lr)));
        for (below, expected) in [(15.0, 0.25), (25.0, 0.5), (35.0, 0.75), (45.0, 1.0)] {
            assert!((share(&units, below) - expected).abs() < 0.05, "{below}");
        }
        let whole = draws("a = { min = 1, max = 1000, log = true }");
        assert!((share(&whole, 31.5) - 0.5).abs() < 0.05 && whole.iter().all(|x| x.fract() == 0.0));
        assert!((share(&draws("a = { min = -1.0, max = 3.0 }"), 0.0) - 0.25).abs() < 0.05);
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
        ] {
            let error = of(text).err().unwrap();
            assert!(error.message().contains(says), "{text}: {error}");
        }
    }
}
