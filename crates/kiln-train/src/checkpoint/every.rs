//! When checkpoints are taken.

use kiln_tensor::Error;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// When checkpoints are taken, beside those at the beginning and the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Every {
    /// After the first step that ends so long after the last checkpoint began.
    Time(Duration),
    /// After every so many steps.
    Steps(u64),
}

/// `30s`, `5m`, `1h` or `200-steps`.
impl FromStr for Every {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let message =
                format!("{text:?}: a time such as 30s, 5m or 1h, or a number of steps such as 200-steps, is expected");
            Error::value("checkpoint", message)
        };
        let steps = text.strip_suffix("-steps").or_else(|| text.strip_suffix("-step"));
        if let Some(steps) = steps {
            let steps = steps.parse().ok().filter(|steps| *steps > 0);
            return steps.map(Every::Steps).ok_or_else(wrong);
        }
        let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let time = number.parse::<f64>().ok().filter(|number| *number > 0.0);
        let time = time.and_then(|number| Duration::try_from_secs_f64(number * seconds).ok());
        time.filter(|time| !time.is_zero()).map(Every::Time).ok_or_else(wrong)
    }
}

/// Looks when the next checkpoint is due.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    every: Vec<Every>,
    epochs: bool,
    /// When the last one began, and after which step.
    last: Option<(Instant, u64)>,
}

/// Checkpoints after epochs are at least so far apart: epochs may take milliseconds.
const APART: Duration = Duration::from_secs(1);

impl Default for Clock {
    fn default() -> Self {
        Clock { every: vec![Every::Time(Duration::from_secs(60))], epochs: true, last: None }
    }
}

impl Clock {
    /// Only these times, and not those after epochs.
    pub(super) fn only(every: Every) -> Self {
        Clock { every: vec![every], epochs: false, last: None }
    }

    /// A checkpoint begins.
    pub(super) fn begin(&mut self, step: u64) {
        self.last = Some((Instant::now(), step));
    }

    /// Whether one is due after a step.
    pub(super) fn due(&self, step: u64) -> bool {
        let Some((time, last)) = self.last else { return true };
        self.every.iter().any(|every| match every {
            Every::Time(every) => step != last && time.elapsed() >= *every,
            Every::Steps(every) => step / every != last / every,
        })
    }

    /// Whether one is due after an epoch.
    pub(super) fn due_after_epoch(&self, step: u64) -> bool {
        let apart = self.last.is_none_or(|(time, last)| step != last && time.elapsed() >= APART);
        self.epochs && apart || self.due(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_steps_are_read() {
        let parsed = |text: &str| text.parse::<Every>().ok();
        assert_eq!(parsed("30s"), Some(Every::Time(Duration::from_secs(30))));
        assert_eq!(parsed("1.5m"), Some(Every::Time(Duration::from_secs(90))));
        assert_eq!(parsed("2h"), Some(Every::Time(Duration::from_secs(7200))));
        assert_eq!((parsed("200-steps"), parsed("1-step")), (Some(Every::Steps(200)), Some(Every::Steps(1))));
        for wrong in
            ["", "s", "30", "0s", "-1s", "infs", "nans", "0-steps", "-steps", "2.5-steps", "1e-300s", "30é", "5 m x"]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn steps_are_counted_over_groups() {
        let mut clock = Clock::only(Every::Steps(5));
        assert!(clock.due(0));
        clock.begin(0);
        assert_eq!((1..=11).filter(|step| clock.due(*step)).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10, 11]);
        clock.begin(7);
        assert_eq!((8..=11).filter(|step| clock.due(*step)).collect::<Vec<_>>(), [10, 11]);
        assert!(!clock.due_after_epoch(9) && clock.due_after_epoch(10));
    }
}
