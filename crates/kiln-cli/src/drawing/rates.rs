//! The losses of a search for a learning rate, over the rates.

use super::axis::Axis;
use super::canvas::{Canvas, Ink};
use super::chart::{Chart, Line, Look};
use super::curves::COLORS;
use kiln::Result;
use kiln::train::LearningRates;

/// Points of the picture.
const SIZE: (f32, f32) = (720.0, 440.0);

/// The PNG file of the losses, with the suggestions marked; `title` says what was trained.
pub(crate) fn rates(found: &LearningRates, title: &str) -> Result<Vec<u8>> {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1)?;
    let (first, last) = (found.points.first(), found.points.last());
    let (low, high) = first.zip(last).map_or((1.0, 10.0), |(first, last)| (first.rate, last.rate));
    let (bottom, top) = range(found);
    let x = ("learning rate", Axis::logarithmic(low, high, 10));
    let y = ("loss", Axis::new(bottom, top, 8));
    let lines = lines(found, bottom, top);
    Chart { title, x, y, lines: &lines }.draw(&mut canvas, (0.0, 0.0), SIZE);
    canvas.png()
}

/// What the axis of losses shows: the smoothed ones, with some room.
fn range(found: &LearningRates) -> (f64, f64) {
    let smoothed = || found.points.iter().map(|point| point.smoothed).filter(|loss| loss.is_finite());
    let (low, high) = (smoothed().fold(f64::INFINITY, f64::min), smoothed().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return (0.0, 1.0);
    }
    let room = if high > low { 0.06 * high - 0.06 * low } else { 0.05 * high.abs().max(0.1) };
    ((low - room).max(f64::MIN), (high + room).min(f64::MAX))
}

fn lines(found: &LearningRates, bottom: f64, top: f64) -> Vec<Line> {
    let points = |loss: fn(&kiln::train::RatePoint) -> f64| {
        found.points.iter().map(|point| (point.rate, loss(point))).collect::<Vec<_>>()
    };
    let line = |label: String, points, ink: Ink, look| Line { label: Some(label), points, ink, look, mark: None };
    let mut lines = vec![
        line("loss of the batch".to_owned(), points(|point| point.loss), COLORS[0].opacity(0.25), Look::Dots),
        line("smoothed".to_owned(), points(|point| point.smoothed), COLORS[0], Look::Solid),
    ];
    let suggestions = [("suggestion", found.suggestion(), COLORS[1]), ("steepest fall", found.steepest(), COLORS[2])];
    for (name, rate, ink) in suggestions {
        let Some(rate) = rate else { continue };
        let loss = found.points.iter().find(|point| point.rate == rate).map(|point| (rate, point.smoothed));
        let upright = line(format!("{name}: {}", short(rate)), vec![(rate, bottom), (rate, top)], ink, Look::Dashed);
        lines.push(Line { mark: loss, ..upright });
    }
    lines
}

/// A rate with two digits, as `--lr` takes it.
pub(crate) fn short(rate: f64) -> String {
    let short = format!("{rate:.1e}").replace(".0e", "e");
    let plain = short.parse::<f64>().ok().filter(|rate| (1e-4..1e4).contains(rate));
    plain.map_or(short, |rate| rate.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln::train::RatePoint;

    #[test]
    fn rates_are_short_and_read_back() {
        for (rate, text) in
            [(0.003_127, "0.0031"), (2.0, "2"), (0.01, "0.01"), (1.234e-6, "1.2e-6"), (31_234.0, "3.1e4")]
        {
            assert_eq!(short(rate), text);
            assert!((text.parse::<f64>().unwrap() / rate - 1.0).abs() < 0.05);
        }
    }

    #[test]
    fn whatever_the_losses_are_there_is_a_picture() {
        for losses in [&[][..], &[1.0], &[f64::NAN], &[1.0, f64::INFINITY], &[1.7e308, -1.7e308], &[0.0; 30]] {
            let point =
                |(at, &loss): (usize, &f64)| RatePoint { rate: 10f64.powi(at as i32 - 7), loss, smoothed: loss };
            let found = LearningRates { points: losses.iter().enumerate().map(point).collect(), diverged: false };
            assert!(rates(&found, "mnist-mlp").is_ok(), "{losses:?}");
        }
    }
}
