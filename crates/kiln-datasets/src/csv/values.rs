//! What a field of a table is.

use std::cmp::Ordering;

/// A field, by what it looks like.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Value {
    Missing,
    Integer(f64),
    Float(f64),
    Boolean(bool),
    Date,
    Text,
}

impl Value {
    /// What a trimmed field is, with these words for a missing value.
    pub(super) fn of(text: &str, missing: &[String]) -> Self {
        if is_missing(text, missing) {
            Value::Missing
        } else if text.parse::<i64>().is_ok() {
            number(text).map_or(Value::Text, Value::Integer)
        } else if let Some(number) = number(text) {
            Value::Float(number)
        } else if let Some(boolean) = boolean(text) {
            Value::Boolean(boolean)
        } else if is_date(text) {
            Value::Date
        } else {
            Value::Text
        }
    }
}

/// Whether a trimmed field says that the value is missing.
pub(super) fn is_missing(text: &str, missing: &[String]) -> bool {
    missing.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// A finite number.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// true or yes, false or no, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 2]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["true", "yes"]) { Some(true) } else { is(["false", "no"]).then_some(false) }
}

/// Whether this is a day such as 2024-12-31, 31.12.2024 or 12/31/2024, with or without a time.
fn is_date(text: &str) -> bool {
    let (day, time) = text.split_once(['T', ' ']).map_or((text, None), |(day, time)| (day, Some(time)));
    let of_time = |c: char| c.is_ascii_digit() || ":.+-Z ".contains(c);
    let is_time = |time: &str| time.contains(':') && time.chars().all(of_time);
    ['-', '/', '.'].iter().any(|&between| is_day(day, between)) && time.is_none_or(is_time)
}

fn is_day(day: &str, between: char) -> bool {
    let parts: Vec<&str> = day.split(between).collect();
    let [first, second, third] = parts[..] else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let short = |part: &str| part.len() <= 2 && part.parse().is_ok_and(|number: u8| (1..=31).contains(&number));
    let ends = (first.len() == 4 && short(third)) || (short(first) && third.len() == 4);
    parts.iter().all(|part| digits(part)) && short(second) && ends
}

/// The order of categories and classes: numbers by value, then texts by letter.
pub(crate) fn in_order(a: &str, b: &str) -> Ordering {
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// The beginning of a field, for a message.
pub(crate) fn short(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn fields_by_what_they_look_like() {
        let missing = ["".to_owned(), "NA".to_owned()];
        let cases = [
            ("", Value::Missing),
            ("na", Value::Missing),
            ("12", Value::Integer(12.0)),
            ("-1.5e3", Value::Float(-1500.0)),
            ("99999999999999999999", Value::Float(1e20)),
            ("1e999", Value::Text),
            ("inf", Value::Text),
            ("Yes", Value::Boolean(true)),
            ("FALSE", Value::Boolean(false)),
            ("2024-12-31", Value::Date),
            ("31.12.2024", Value::Date),
            ("12/31/2024 23:59:59", Value::Date),
            ("2024-12-31T23:59:59.5Z", Value::Date),
            ("1-2-3", Value::Text),
            ("2024-13-x", Value::Text),
            ("2024-12-31 some", Value::Text),
        ];
        for (text, value) in cases {
            assert_eq!(Value::of(text, &missing), value, "{text}");
        }
    }
}
