//! Parallel coordinates: an axis beside the other for each number, and a line through all of them for each thing.

use super::axis::Axis;
use super::canvas::{Align, Canvas, Font, Ink, Point};
use kiln::Result;

/// Points between two axes, of their height, and of the room around.
const APART: f32 = 190.0;
const HEIGHT: f32 = 380.0;
const ABOVE: f32 = 56.0;
const BELOW: f32 = 34.0;
const BESIDE: f32 = 110.0;

/// Ticks of an axis, about; choices of more are not named.
const TICKS: usize = 8;
const MOST_NAMES: usize = 24;

/// Numbers of no more different values are laid out as choices.
const FEW: usize = 6;

/// Numbers above 0 whose largest is so many times the smallest are laid out by their logarithms.
const WIDE: f64 = 100.0;

/// How much further than from the best to the middle the results' axis goes.
const FURTHER: f64 = 4.0;

/// From the worst to the best result, as Matplotlib's viridis goes, darker at its end.
const COLORS: [[f64; 3]; 4] = [[68.0, 1.0, 84.0], [49.0, 104.0, 142.0], [53.0, 183.0, 121.0], [220.0, 200.0, 20.0]];

/// How values are laid out on an axis, from 0 at the lower end to 1 at the upper.
pub(crate) enum Scale {
    Linear(Axis),
    /// By logarithms to the base 10.
    Logarithmic(Axis),
    /// One above the other.
    Choices(Vec<String>),
}

/// What is drawn: axes by their names, and lines, the best one first.
pub(crate) struct Coordinates {
    pub(crate) scales: Vec<(String, Scale)>,
    pub(crate) paths: Vec<Path>,
}

/// A line by its place on each axis; one that is not whole is drawn dashed.
pub(crate) struct Path {
    pub(crate) places: Vec<f64>,
    pub(crate) whole: bool,
}

impl Scale {
    /// Of values by their texts, and by their numbers where all are numbers; few of them are choices.
    pub(crate) fn of(values: &[(String, Option<f64>)], log: bool) -> Scale {
        let mut choices = values.to_vec();
        let number = |value: &(String, Option<f64>)| value.1.unwrap_or(0.0);
        choices.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.0.cmp(&b.0)));
        choices.dedup();
        let numbers: Option<Vec<f64>> = choices.iter().map(|value| value.1).collect();
        let Some(numbers) = numbers.filter(|numbers| numbers.len() > FEW) else {
            return Scale::Choices(choices.into_iter().map(|value| value.0).collect());
        };
        let (low, high) = (numbers[0], numbers[numbers.len() - 1]);
        if low > 0.0 && (log || high / low >= WIDE) {
            let (low, high) = (low.log10(), high.log10());
            let decades = high - low >= 2.0;
            return Scale::Logarithmic(if decades {
                Axis::whole(low, high, TICKS)
            } else {
                Axis::new(low, high, TICKS)
            });
        }
        let whole = numbers.iter().all(|number| number.fract() == 0.0);
        Scale::Linear(if whole { Axis::whole(low, high, TICKS) } else { Axis::new(low, high, TICKS) })
    }

    /// Of results, the best one first; those that are far behind lie at the end.
    pub(crate) fn of_results(values: &[f64]) -> Scale {
        let (best, worst) = (values[0], values[values.len() - 1]);
        let middle = values[values.len() / 2];
        let reach = best + FURTHER * (middle - best);
        let end = if reach == best || (worst - best).abs() < (reach - best).abs() { worst } else { reach };
        Scale::Linear(Axis::new(best.min(end), best.max(end), TICKS))
    }

    pub(crate) fn place(&self, text: &str, number: Option<f64>) -> f64 {
        let place = match self {
            Scale::Linear(axis) => axis.place(number.unwrap_or(0.0)),
            Scale::Logarithmic(axis) => axis.place(number.unwrap_or(1.0).log10()),
            Scale::Choices(choices) => {
                let at = choices.iter().position(|choice| choice == text).unwrap_or(0);
                (at as f64 + 0.5) / choices.len() as f64
            }
        };
        place.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Scale::Linear(axis) => axis.ticks().map(|tick| (axis.place(tick), axis.label(tick))).collect(),
            Scale::Logarithmic(axis) => {
                let label = |tick: f64| {
                    let value = 10f64.powf(tick);
                    if (0.01..10_000.0).contains(&value) { format!("{value:.3}") } else { format!("{value:.1e}") }
                };
                axis.ticks().map(|tick| (axis.place(tick), short_label(&label(tick)))).collect()
            }
            Scale::Choices(choices) if choices.len() <= MOST_NAMES => {
                choices.iter().map(|choice| (self.place(choice, None), choice.clone())).collect()
            }
            Scale::Choices(_) => Vec::new(),
        }
    }
}

/// Without zeros at the end.
fn short_label(label: &str) -> String {
    match label.contains('.') && !label.contains('e') {
        true => label.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => label.replace(".0e", "e"),
    }
}

/// The PNG file; the colors of the lines say their places on the last axis.
pub(crate) fn coordinates(of: &Coordinates) -> Result<Vec<u8>> {
    let width = 2.0 * BESIDE + APART * of.scales.len().saturating_sub(1) as f32;
    let mut canvas = Canvas::new(width, ABOVE + HEIGHT + BELOW)?;
    let at = |axis: usize, place: f64| (BESIDE + axis as f32 * APART, ABOVE + HEIGHT * (1.0 - place as f32));
    let count = of.paths.len();
    let pale = if count > 40 { 0.45 } else { 0.8 };
    // The best one lies on top.
    for (rank, path) in of.paths.iter().enumerate().rev() {
        let line = curve(path.places.iter().enumerate().map(|(axis, &place)| at(axis, place)));
        let share = 1.0 - rank as f64 / (count.max(2) - 1) as f64;
        let (thickness, ink) = if rank == 0 { (3.0, color(share)) } else { (1.5, color(share).opacity(pale)) };
        if path.whole { canvas.line(&line, thickness, ink) } else { canvas.dashed(&line, thickness, ink) }
    }
    for (axis, (name, scale)) in of.scales.iter().enumerate() {
        draw_axis(&mut canvas, at(axis, 1.0), name, scale);
    }
    let stopped = of.paths.iter().any(|path| !path.whole);
    let dashed = if stopped { "; those that were stopped early are dashed" } else { "" };
    let plural = if count == 1 { "trial" } else { "trials" };
    let caption = format!("{count} {plural}, the best one is thick{dashed}");
    let caption = Font::LABEL.fitted(&caption, width - 16.0);
    canvas.text(&caption, (width / 2.0, ABOVE + HEIGHT + 22.0), Font::LABEL.align(Align::Center));
    canvas.png()
}

fn draw_axis(canvas: &mut Canvas, (left, top): Point, name: &str, scale: &Scale) {
    canvas.rectangle((left - 0.5, top), (1.0, HEIGHT), Ink::GRAY);
    let title = Font::TITLE.fitted(name, APART - 8.0);
    canvas.text(&title, (left, top - 28.0), Font::TITLE.align(Align::Center));
    for (place, label) in scale.ticks() {
        let y = top + HEIGHT * (1.0 - place as f32);
        canvas.rectangle((left - 4.0, y - 0.5), (4.0, 1.0), Ink::GRAY);
        let label = Font::LABEL.fitted(&label, APART / 2.0);
        let width = Font::LABEL.width(&label);
        canvas.rectangle((left - 9.0 - width, y - 8.0), (width + 3.0, 16.0), Ink::WHITE.opacity(0.7));
        canvas.text(&label, (left - 7.0, y), Font::LABEL.align(Align::Right));
    }
}

/// A smooth line through points, level at each of them, so that two lines through one point can be told apart.
fn curve(points: impl Iterator<Item = Point>) -> Vec<Point> {
    const STEPS: usize = 24;
    let points: Vec<Point> = points.collect();
    let mut line: Vec<Point> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        line.extend((1..=STEPS).map(|step| {
            let part = step as f32 / STEPS as f32;
            let eased = part * part * (3.0 - 2.0 * part);
            (from.0 + part * (to.0 - from.0), from.1 + eased * (to.1 - from.1))
        }));
    }
    line
}

/// From the worst, 0, to the best, 1.
fn color(share: f64) -> Ink {
    let at = share.clamp(0.0, 1.0) * (COLORS.len() - 1) as f64;
    let low = (at.floor() as usize).min(COLORS.len() - 2);
    let part = at - low as f64;
    let mixed = |channel: usize| {
        let (from, to) = (COLORS[low][channel], COLORS[low + 1][channel]);
        (from + part * (to - from)).round() as u8
    };
    Ink::new(mixed(0), mixed(1), mixed(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let of = |texts: &[&str]| texts.iter().map(|text| ((*text).to_owned(), text.parse().ok())).collect::<Vec<_>>();
        let choices = Scale::of(&of(&["b", "a", "b"]), false);
        assert_eq!((choices.place("a", None), choices.place("b", None)), (0.25, 0.75));
        let sizes = Scale::of(&of(&["8", "64", "16", "128"]), false);
        let labels = |scale: &Scale| scale.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(&sizes), ["8", "16", "64", "128"]);
        let log = Scale::of(&of(&["1e-4", "1e-2", "1e-3", "2e-3", "3e-3", "4e-3", "5e-3"]), true);
        assert!((log.place("", Some(1e-3)) - 0.5).abs() < 1e-12);
        assert_eq!(labels(&log), ["1e-4", "1e-3", "0.01"]);
        assert_eq!(Scale::of(&of(&["32", "32"]), false).place("32", Some(32.0)), 0.5);
    }

    #[test]
    fn results_far_behind_do_not_squeeze_the_others() {
        let scale = Scale::of_results(&[0.1, 0.2, 0.3, 0.4, 1e9]);
        assert_eq!((scale.place("", Some(0.1)), scale.place("", Some(1e9))), (0.0, 1.0));
        assert!(scale.place("", Some(0.4)) > 0.3);
        let accuracy = Scale::of_results(&[0.9, 0.8, 0.7]);
        assert_eq!((accuracy.place("", Some(0.9)), accuracy.place("", Some(0.7))), (1.0, 0.0));
        assert_eq!(Scale::of_results(&[0.5]).place("", Some(0.5)), 0.5);
    }

    #[test]
    fn any_number_of_lines_can_be_drawn() {
        for count in [1, 2, 100] {
            let values: Vec<f64> = (0..count).map(f64::from).collect();
            let scales = vec![
                (
                    "optimizer.lr".to_owned(),
                    Scale::of(&values.iter().map(|x| (x.to_string(), Some(*x))).collect::<Vec<_>>(), false),
                ),
                ("val_loss".to_owned(), Scale::of_results(&values)),
            ];
            let path = |&value: &f64| {
                let places = scales.iter().map(|(_, scale)| scale.place(&value.to_string(), Some(value))).collect();
                Path { places, whole: (value as usize).is_multiple_of(2) }
            };
            let paths = values.iter().map(path).collect();
            assert!(coordinates(&Coordinates { scales, paths }).is_ok());
        }
    }
}
