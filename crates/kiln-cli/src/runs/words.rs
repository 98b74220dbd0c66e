//! Times in words.

use std::time::SystemTime;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// `2.3 s`, `4 min 10 s`, `3 h 12 min`, `2 d 5 h`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        ..HOUR => format!("{} min {} s", whole / MINUTE, whole % MINUTE),
        HOUR..DAY => format!("{} h {} min", whole / HOUR, whole % HOUR / MINUTE),
        DAY.. => format!("{} d {} h", whole / DAY, whole % DAY / HOUR),
    }
}

/// How long ago that was, in its largest unit: `3 h ago`.
pub(super) fn ago(then: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(then).unwrap_or_default().as_secs();
    let (count, unit) = match seconds {
        ..MINUTE => (seconds, "s"),
        MINUTE..HOUR => (seconds / MINUTE, "min"),
        HOUR..DAY => (seconds / HOUR, "h"),
        DAY.. => (seconds / DAY, "d"),
    };
    format!("{count} {unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_told_in_two_units_at_most() {
        let seconds = [0.04, 59.9, 59.96, 250.0, 3599.7, 11_520.0, 190_000.0];
        let words = ["0.0 s", "59.9 s", "1 min 0 s", "4 min 10 s", "1 h 0 min", "3 h 12 min", "2 d 4 h"];
        assert_eq!(seconds.map(duration), words);
        let before = |seconds| ago(SystemTime::now() - Duration::from_secs(seconds));
        assert_eq!([5, 125, 7300, 200_000].map(before), ["5 s ago", "2 min ago", "2 h ago", "2 d ago"]);
        assert_eq!(ago(SystemTime::now() + Duration::from_secs(9)), "0 s ago");
    }
}
