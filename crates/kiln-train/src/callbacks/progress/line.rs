//! The text of the progress bar, in as many columns as there are.

use std::time::Duration;

/// Columns between the brackets of a bar.
const CELLS: std::ops::RangeInclusive<usize> = 8..=40;

/// What a progress bar shows at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    /// From 1.
    pub(crate) epoch: usize,
    pub(crate) epochs: usize,
    /// Whether this is the validation after the epoch.
    pub(crate) validation: bool,
    /// How much of the pass over the data is done, from 0 to 1.
    pub(crate) done: f64,
    pub(crate) loss: Option<f64>,
    pub(crate) metric: Option<(&'a str, f64)>,
    /// Samples a second and the time left of the pass, once they are known.
    pub(crate) speed: Option<(f64, Duration)>,
    /// What samples are called.
    pub(crate) unit: &'a str,
}

impl Line<'_> {
    /// The line, in at most `width` columns: what does not fit is left out whole, the least important first.
    pub(crate) fn fit(&self, width: usize) -> String {
        let number = epoch_of(self.epoch, self.epochs);
        let epoch = format!("epoch {number}");
        let full = if self.validation { format!("{epoch} validation") } else { epoch.clone() };
        let head = [full, epoch, number].into_iter().find(|head| columns(head) <= width).unwrap_or_default();
        // A bar with its brackets and the space before it.
        let least = 1 + CELLS.start() + 2;
        let Some(room) = width.checked_sub(columns(&head) + least) else {
            let percent = format!("{head}  {:.0}%", (self.done * 100.0).floor());
            return if columns(&percent) <= width { percent } else { head };
        };
        let words = self.words(room);
        let cells = (CELLS.start() + room - columns(&words)).min(*CELLS.end());
        format!("{head} [{}]{words}", bar(self.done, cells))
    }

    /// What stands after the bar, in at most `room` columns.
    fn words(&self, room: usize) -> String {
        let loss = self.loss.map(|loss| format!("  loss {}", number(loss)));
        let metric = self.metric.map(|(name, value)| format!("  {name} {}", number(value)));
        let rate = self.speed.map(|(rate, _)| format!("  {} {}/s", short(rate), self.unit));
        let left = self.speed.map(|(_, left)| format!("  {} left", clock(left)));
        let mut words = [loss, metric, rate, left].map(Option::unwrap_or_default);
        // From the least important on.
        for place in [2, 1, 0, 3] {
            if words.iter().map(|word| columns(word)).sum::<usize>() > room {
                words[place].clear();
            }
        }
        words.concat()
    }
}

/// An epoch's number among so many: ` 3/20`.
pub(crate) fn epoch_of(epoch: usize, epochs: usize) -> String {
    let width = epochs.to_string().len();
    format!("{epoch:>width$}/{epochs}")
}

/// A loss or a metric: four decimals, as scientific notation where those would say nothing.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e5).contains(&size) || !size.is_finite() {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// The columns of a terminal that a text may take. Characters beyond ASCII may take two.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// `=====>    `.
fn bar(done: f64, cells: usize) -> String {
    let full = (done * cells as f64) as usize;
    let head = if (1..cells).contains(&full) { ">" } else { "" };
    let body = "=".repeat(full.saturating_sub(head.len()));
    format!("{:<cells$}", body + head)
}

/// A rate in few characters: 0.3, 85, 1234, 52k, 1.2M.
fn short(rate: f64) -> String {
    match rate {
        ..10.0 => format!("{rate:.1}"),
        ..1e4 => format!("{rate:.0}"),
        ..1e6 => format!("{:.0}k", rate / 1e3),
        _ => format!("{:.1}M", rate / 1e6),
    }
}

/// A duration as minutes and seconds, or hours too: 0:07, 12:30, 1:05:00. What has begun counts.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().ceil() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            epoch: 3,
            epochs: 10,
            validation: false,
            done: 0.43,
            loss: Some(0.12345),
            metric: Some(("accuracy", 0.9)),
            speed: Some((23_456.0, Duration::from_millis(6_100))),
            unit: "images",
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let validation = Line { validation: true, speed: None, ..line() };
        let full = "  loss 0.1235  accuracy 0.9000  23k images/s  0:07 left";
        for (line, width, text) in [
            (line(), 120, &*format!("epoch  3/10 [================>                       ]{full}")),
            (line(), 79, &format!("epoch  3/10 [===>      ]{full}")),
            (line(), 76, "epoch  3/10 [========>            ]  loss 0.1235  accuracy 0.9000  0:07 left"),
            (line(), 60, "epoch  3/10 [========>             ]  loss 0.1235  0:07 left"),
            (line(), 40, "epoch  3/10 [=====>         ]  0:07 left"),
            (line(), 24, "epoch  3/10 [===>      ]"),
            (line(), 21, "epoch  3/10  43%"),
            (line(), 12, "epoch  3/10"),
            (line(), 10, " 3/10  43%"),
            (line(), 4, ""),
            (line(), 0, ""),
            (
                validation.clone(),
                80,
                "epoch  3/10 validation [=========>               ]  loss 0.1235  accuracy 0.9000",
            ),
            (validation.clone(), 40, "epoch  3/10 validation [=====>         ]"),
            (validation, 20, "epoch  3/10  43%"),
        ] {
            assert_eq!(line.fit(width), text, "{width}");
        }
        for width in 0..200 {
            let text = line().fit(width);
            assert!(columns(&text) <= width, "{width}: {text:?}");
        }
    }

    #[test]
    fn numbers_are_short_and_say_something() {
        assert_eq!([0.0, 0.04, 12.0, 99_999.0].map(number), ["0.0000", "0.0400", "12.0000", "99999.0000"]);
        assert_eq!([1e-5, 3.2e7, f64::NAN].map(number), ["1.000e-5", "3.200e7", "NaN"]);
        assert_eq!(
            [0.25, 9.96, 85.4, 9999.0, 52_100.0, 1.24e6].map(short),
            ["0.2", "10.0", "85", "9999", "52k", "1.2M"]
        );
        let clocks = [0, 1, 6_001, 65_000, 3_599_500, 3_661_000].map(|ms| clock(Duration::from_millis(ms)));
        assert_eq!(clocks, ["0:00", "0:01", "0:07", "1:05", "1:00:00", "1:01:01"]);
        assert_eq!([0.0, 0.05, 0.5, 0.999, 1.0].map(|done| bar(done, 4)), ["    ", "    ", "=>  ", "==> ", "===="]);
    }
}
