//! The values that a parameter may have: all of them for a grid, or one at random.

use super::trials::MOST;
use crate::settings::{Node, Place, Value};
use kiln::math::RandomStream;
use kiln::{Error, Result};
use std::sync::Arc;

/// Digits that a number from a range has: enough to tell two apart, few enough to be read.
const DIGITS: usize = 4;

/// What a parameter may be.
#[derive(Clone)]
pub(super) enum Values {
    /// One of these.
    Choices(Vec<Node>),
    /// A whole number: `min`, `min + step`, … up to `max`.
    Whole {
        min: i64,
        max: i64,
        step: u64,
        log: bool,
        points: Option<usize>,
    },
    Number {
        min: f64,
        max: f64,
        log: bool,
        points: Option<usize>,
    },
}

impl Values {
    /// How many values there are, where they can be counted.
    pub(super) fn count(&self) -> Option<u64> {
        match *self {
            Values::Choices(ref choices) => Some(choices.len() as u64),
            Values::Whole { min, max, step, .. } => Some((max.abs_diff(min) / step).saturating_add(1)),
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
            Values::Whole { min, max, log, points: some, .. } if log || some.is_some() => {
                let mut values = spaced(min as f64, max as f64, log, points(some)?, f64::round);
                values.dedup();
                values.into_iter().map(|value| whole(value as i64)).collect()
            }
            Values::Whole { min, step, .. } => {
                let count = self.count().unwrap_or(1);
                if count > MOST as u64 {
                    let message = format!(
                        "parameters.{path}: the range has {count} values, at most {MOST} are possible: name `points = 5` or a larger `step`"
                    );
                    return Err(Error::value("", message));
                }
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
            Values::Whole { min, max, log: true, .. } => {
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

    /// Whether it is spread by its logarithm.
    pub(super) fn is_log(&self) -> bool {
        matches!(self, Values::Whole { log: true, .. } | Values::Number { log: true, .. })
    }
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
pub(super) fn rounded(value: f64) -> f64 {
    format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value)
}

fn node(value: Value) -> Node {
    Node { place: Place::Option(Arc::from("")), value }
}

fn whole(value: i64) -> Node {
    node(Value::Integer(value.into()))
}

pub(super) fn number(value: f64) -> Node {
    node(Value::Float(value))
}

#[cfg(test)]
mod tests {
    use super::super::parameter::parameters;
    use super::*;
    use kiln::math::Purpose;
    use std::path::Path;

    fn of(text: &str) -> Values {
        parameters(&Node::parse(text, Path::new("my.toml")).unwrap()).unwrap().remove(0).values
    }

    fn grid(text: &str) -> Vec<String> {
        of(text).grid("a").unwrap().iter().map(Node::to_toml).collect()
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
        for (range, says) in [
            ("a = { min = 0.0, max = 1.0 }", "parameters.a: a grid needs the number of points"),
            (
                "a = { min = 1, max = 1000000 }",
                "parameters.a: the range has 1000000 values, at most 10000 are possible",
            ),
        ] {
            let refused = of(range).grid("a").unwrap_err();
            assert!(refused.message().contains(says), "{refused}");
        }
    }

    #[test]
    fn draws_cover_their_ranges_evenly() {
        let mut stream = RandomStream::new(1, Purpose::Data, 0);
        let mut draws = |text: &str| -> Vec<f64> {
            let values = of(text);
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
}
