//! The time of a row.

use crate::csv::number;

/// A number, or a moment by Coordinated Universal Time.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub(super) enum Time {
    Number(f64),
    /// Seconds since 1970, and nanoseconds.
    Moment(i64, u32),
}

impl Time {
    /// Of a number, or of a date of ISO 8601: `2024-12`, `2024-12-31`, `2024-12-31 23:59`, `2024-12-31T23:59:59.5+01:00`. Without an
    /// offset it is taken for UTC's.
    pub(super) fn of(text: &str) -> Option<Self> {
        match number(text) {
            // 0 and −0 are the same time.
            Some(number) => Some(Time::Number(number + 0.0)),
            None => moment(text),
        }
    }

    /// Whether both are numbers or both moments.
    pub(super) fn is_like(self, other: Time) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

fn moment(text: &str) -> Option<Time> {
    let (date, time) = text.split_once(['T', ' ']).map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.splitn(3, '-');
    let (year, month) = (digits(parts.next()?, 4..=4)?, digits(parts.next()?, 2..=2)?);
    let day = match parts.next() {
        Some(day) => digits(day, 2..=2)?,
        None if time.is_some() => return None,
        None => 1,
    };
    let days = days(year, month, day)?;
    let (seconds, nanos) = time.map_or(Some((0, 0)), of_day)?;
    Some(Time::Moment(days * 86_400 + seconds, nanos))
}

/// The number that some digits are.
fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let fine = count.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| text.parse().ok()).flatten()
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.get(..usize::try_from(month - 1).ok()?)?;
    if !(1..=*lengths.get(before.len())?).contains(&day) {
        return None;
    }
    // Leap days up to the year before, those of 1970 less.
    let leaps = |year: i64| (year - 1).div_euclid(4) - (year - 1).div_euclid(100) + (year - 1).div_euclid(400);
    Some(365 * (year - 1970) + leaps(year) - leaps(1970) + before.iter().sum::<i64>() + day - 1)
}

/// Seconds and nanoseconds of a day, less the offset from UTC.
fn of_day(text: &str) -> Option<(i64, u32)> {
    let end = text.find(['Z', '+', '-']).unwrap_or(text.len());
    let (time, offset) = text.split_at(end);
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let mut parts = time.split(':').map(|part| digits(part, 2..=2));
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        Some(seconds) => seconds?,
        None if fraction.is_some() => return None,
        None => 0,
    };
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let nanos = fraction.map_or(Some(0), |fraction| {
        digits(fraction, 1..=9).map(|number| number as u32 * 10u32.pow(9 - fraction.len() as u32))
    })?;
    let offset = match offset.split_at_checked(1) {
        None | Some(("Z", "")) => 0,
        Some((sign @ ("+" | "-"), size)) => {
            let size = digits(&size.replacen(':', "", 1), 4..=4)?;
            (size / 100 * 3600 + size % 100 * 60) * if sign == "+" { 1 } else { -1 }
        }
        Some(_) => return None,
    };
    Some((hours * 3600 + minutes * 60 + seconds - offset, nanos))
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn moments_are_seconds_since_1970() {
        let cases = [
            ("1970-01-01", 0, 0),
            ("1969-12-31T23:59:59Z", -1, 0),
            ("2000-02-29", 951_782_400, 0),
            ("2024-12", 1_733_011_200, 0),
            ("2024-12-31 23:59", 1_735_689_540, 0),
            ("2024-12-31T23:59:59.25+01:00", 1_735_685_999, 250_000_000),
            ("2024-12-31T00:00:00-0530", 1_735_623_000, 0),
            ("0001-01-01", -62_135_596_800, 0),
        ];
        for (text, seconds, nanos) in cases {
            assert_eq!(Time::of(text), Some(Time::Moment(seconds, nanos)), "{text}");
        }
        assert_eq!((Time::of("-2.5"), Time::of("-0")), (Some(Time::Number(-2.5)), Some(Time::Number(0.0))));
        let wrong = [
            "",
            "x",
            "31.12.2024",
            "2024-13-01",
            "2023-02-29",
            "2024-00-01",
            "2024-1-1",
            "2024-01 10:00",
            "2024-01-01T",
        ];
        let of_day =
            ["24:00", "10", "10:60", "10:00:60", "10:00.5", "10:00:00.", "10:00+1", "10:00Zx", "10:00:00:00", "+1:00"];
        for text in wrong.map(str::to_owned).into_iter().chain(of_day.map(|time| format!("2024-01-01T{time}"))) {
            assert_eq!(Time::of(&text), None, "{text}");
        }
    }
}
