//! What is counted of a column.

use super::source::Source;
use super::summary::{ColumnKind, ColumnSummary};
use super::values::{Value, in_order, number, short};
use kiln_tensor::Result;
use std::collections::{HashMap, HashSet};

/// Different values that are counted, and their bytes.
const DISTINCT: usize = 10_000;
const BYTES: usize = 4 << 20;
/// Texts that are different from one another are categories up to this many.
const CATEGORIES: usize = 1000;
/// As few as this are categories where any value comes twice.
const FEW: usize = 10;
/// Frequent values in a summary.
const FREQUENT: usize = 100;

#[derive(Clone, Default, Debug)]
pub(super) struct Stats {
    pub(super) missing: usize,
    integers: usize,
    floats: usize,
    booleans: usize,
    dates: usize,
    texts: usize,
    /// Of the numbers; a boolean counts as 0 or 1.
    mean: f64,
    count: usize,
    range: Option<(f64, f64)>,
    counts: HashMap<Box<str>, usize>,
    bytes: usize,
    /// More values than are counted.
    many: bool,
    /// The first value that is not a number, and its row.
    odd: Option<(u64, String)>,
    /// The numbers themselves, where the median is asked for.
    numbers: Option<Vec<f64>>,
}

impl Stats {
    /// With what the median needs.
    pub(super) fn with_numbers(keep: bool) -> Self {
        Stats { numbers: keep.then(Vec::new), ..Stats::default() }
    }

    /// Takes in a trimmed value of the row `row`.
    pub(super) fn add(&mut self, text: &str, value: Value, row: u64) {
        match value {
            Value::Missing => {
                self.missing += 1;
                return;
            }
            Value::Integer(number) => {
                self.integers += 1;
                self.number(number);
            }
            Value::Float(number) => {
                self.floats += 1;
                self.number(number);
            }
            Value::Boolean(boolean) => {
                self.booleans += 1;
                self.number(f64::from(u8::from(boolean)));
            }
            Value::Date => self.dates += 1,
            Value::Text => self.texts += 1,
        }
        if self.odd.is_none() && !matches!(value, Value::Integer(_) | Value::Float(_)) {
            self.odd = Some((row, short(text)));
        }
        self.tally(text);
    }

    fn number(&mut self, number: f64) {
        self.count += 1;
        // Without a sum, which would overflow for large numbers.
        let count = self.count as f64;
        self.mean += number / count - self.mean / count;
        let (minimum, maximum) = self.range.unwrap_or((number, number));
        self.range = Some((minimum.min(number), maximum.max(number)));
        self.numbers.iter_mut().for_each(|numbers| numbers.push(number));
    }

    fn tally(&mut self, text: &str) {
        if self.many {
            return;
        }
        if let Some(count) = self.counts.get_mut(text) {
            *count += 1;
            return;
        }
        self.bytes += text.len();
        if self.counts.len() == DISTINCT || self.bytes > BYTES {
            self.many = true;
            self.counts = HashMap::new();
            return;
        }
        self.counts.insert(text.into(), 1);
    }

    fn present(&self) -> usize {
        self.integers + self.floats + self.booleans + self.dates + self.texts
    }

    fn kind(&self) -> ColumnKind {
        let (present, numbers, distinct) = (self.present(), self.integers + self.floats, self.counts.len());
        if present == 0 {
            ColumnKind::Empty
        } else if self.integers == present {
            ColumnKind::Integer
        } else if numbers == present {
            ColumnKind::Float
        } else if self.booleans == present {
            ColumnKind::Boolean
        } else if self.dates == present {
            ColumnKind::Date
        } else if 2 * numbers >= present {
            ColumnKind::Mixed
        } else if !self.many && distinct < present && distinct <= CATEGORIES && distinct <= FEW.max(present / 2) {
            ColumnKind::Category
        } else {
            ColumnKind::Text
        }
    }

    /// The different values in order with how often each is there; `None` where there are too many.
    pub(super) fn values(&self) -> Option<Vec<(&str, usize)>> {
        let mut values: Vec<(&str, usize)> = self.counts.iter().map(|(value, &count)| (&**value, count)).collect();
        values.sort_by(|a, b| in_order(a.0, b.0));
        (!self.many).then_some(values)
    }

    /// The most frequent value, of equal ones the first in order.
    pub(super) fn mode(&self) -> Option<&str> {
        let values = self.values()?;
        values.iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| *value)
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The value in the middle, or the mean of the two there.
    pub(super) fn median(&mut self) -> Option<f64> {
        let numbers = self.numbers.as_mut().filter(|numbers| !numbers.is_empty())?;
        let (middle, even) = (numbers.len() / 2, numbers.len().is_multiple_of(2));
        let (below, &mut upper, _) = numbers.select_nth_unstable_by(middle, f64::total_cmp);
        let lower = below.iter().copied().max_by(f64::total_cmp).filter(|_| even);
        Some(lower.map_or(upper, |lower| lower / 2.0 + upper / 2.0))
    }

    /// Different values; numbers count by their value, however they are written.
    fn distinct(&self, numeric: bool) -> usize {
        let bits = |value: &str| number(value).map(|number| (number + 0.0).to_bits());
        match numeric {
            true => self.counts.keys().filter_map(|value| bits(value)).collect::<HashSet<u64>>().len(),
            false => self.counts.len(),
        }
    }

    pub(super) fn summary(&self, name: &str, source: &dyn Source) -> Result<ColumnSummary> {
        let kind = self.kind();
        let mut frequent = self.values().unwrap_or_default();
        frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        frequent.truncate(FREQUENT);
        let numeric = matches!(kind, ColumnKind::Integer | ColumnKind::Float | ColumnKind::Mixed);
        let range = self.range.filter(|_| numeric);
        let odd = self.odd.as_ref().filter(|_| kind == ColumnKind::Mixed);
        Ok(ColumnSummary {
            name: name.to_owned(),
            kind,
            missing: self.missing,
            distinct: (!self.many).then(|| self.distinct(matches!(kind, ColumnKind::Integer | ColumnKind::Float))),
            minimum: range.map(|(minimum, _)| minimum),
            maximum: range.map(|(_, maximum)| maximum),
            mean: range.and(self.mean()),
            frequent: frequent.into_iter().map(|(value, count)| (value.to_owned(), count)).collect(),
            odd: odd.map(|(row, value)| Ok((source.number(*row)?, value.clone()))).transpose()?,
        })
    }
}
