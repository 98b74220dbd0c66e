//! Loss and metrics by epoch: a panel for each, with the best of each marked.

use super::axis::Axis;
use super::canvas::{Align, Canvas, Font, Ink};
use super::chart::{Chart, Line, Look};
use crate::log::Log;
use kiln::{Error, Result};

/// Points of a panel, and of the line above all with the runs' names.
const PANEL: (f32, f32) = (480.0, 330.0);
const HEADING: f32 = 36.0;

/// Panels of a picture, runs that can be told apart, and of both together: a picture is there within a second.
const MOST_PANELS: usize = 12;
const MOST_RUNS: usize = 50;
const MOST: usize = 120;

/// Colors that can be told apart, with a defect of sight too (Okabe and Ito 2008).
pub(super) const COLORS: [Ink; 7] = [
    Ink::new(0, 114, 178),
    Ink::new(213, 94, 0),
    Ink::new(0, 158, 115),
    Ink::new(204, 121, 167),
    Ink::new(86, 180, 233),
    Ink::new(230, 159, 0),
    Ink::new(90, 90, 90),
];

/// A run's log and what it is called.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) log: Log,
}

/// What was measured in any of the runs; the first so many of it are drawn, which is said too.
pub(crate) fn quantities(runs: &[Curve]) -> (Vec<&str>, usize) {
    let mut quantities: Vec<&str> = Vec::new();
    for quantity in runs.iter().flat_map(|run| run.log.quantities()) {
        if !quantities.contains(&quantity) {
            quantities.push(quantity);
        }
    }
    let drawn = quantities.len().min(MOST_PANELS).min((MOST / runs.len().max(1)).max(2));
    (quantities, drawn)
}

/// The PNG file of the runs' curves: training and validation of one run, or several runs one over the other, where the
/// training is paler than the validation.
pub(crate) fn curves(runs: &[Curve]) -> Result<Vec<u8>> {
    if runs.len() > MOST_RUNS {
        let message = format!("{} runs cannot be told apart in one picture: name at most {MOST_RUNS}", runs.len());
        return Err(Error::value("", message));
    }
    let (mut quantities, drawn) = quantities(runs);
    quantities.truncate(drawn);
    let columns = columns(quantities.len());
    let (width, height) = PANEL;
    let size = (width * columns as f32, HEADING + height * quantities.len().div_ceil(columns) as f32);
    let mut canvas = Canvas::new(size.0, size.1)?;
    let names = runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", ");
    let paler = if runs.len() > 1 { "   (training is pale)" } else { "" };
    let title = Font::TITLE.fitted(&names, size.0 - 48.0 - Font::TITLE.width(paler));
    canvas.text(&format!("{title}{paler}"), (size.0 / 2.0, 24.0), Font::TITLE.align(Align::Center));
    for (i, quantity) in quantities.iter().enumerate() {
        let place = ((i % columns) as f32 * width, HEADING + (i / columns) as f32 * height);
        let lines = lines(quantity, runs);
        let (first, last) = epochs(&lines);
        let (low, mut high) = range(quantity, &lines);
        if first == last {
            // Wherever the legend is, it reaches the middle: the single epoch lies below it.
            high = (high + 0.5 * (high - low)).min(f64::MAX);
        }
        let x = ("epoch", Axis::whole(first, last, 10));
        let y = ("", Axis::new(low, high, 8));
        Chart { title: quantity, x, y, lines: &lines }.draw(&mut canvas, place, PANEL);
    }
    canvas.png()
}

/// Panels of a row.
fn columns(panels: usize) -> usize {
    match panels {
        0 | 1 => 1,
        2 | 4 => 2,
        3 | 5..=9 => 3,
        _ => 4,
    }
}

fn lines(quantity: &str, runs: &[Curve]) -> Vec<Line> {
    let mut lines = Vec::new();
    let one = runs.len() == 1;
    for (index, run) in runs.iter().enumerate() {
        let color = |index: usize| COLORS[index % COLORS.len()];
        // Of two runs of the same color, one is dashed.
        let look = if (index / COLORS.len()).is_multiple_of(2) { Look::Solid } else { Look::Dashed };
        let mut add = |name: &str, called: Option<&str>, ink: Ink, marked: bool| {
            let points = run.log.points(name);
            if points.is_empty() {
                return;
            }
            let mark = if marked { run.log.best(name) } else { None };
            let label = called.map(|called| match mark {
                Some((epoch, value)) => format!("{called}, best {} in epoch {epoch}", short(value)),
                None => called.to_owned(),
            });
            lines.push(Line { label, points, ink, look, mark });
        };
        let validation = format!("val_{quantity}");
        let (trained, validated) = if one { (color(0), color(1)) } else { (color(index).opacity(0.35), color(index)) };
        let name = |single: &'static str| if one { single } else { run.name.as_str() };
        if run.log.points(&validation).is_empty() {
            add(quantity, Some(name("training")), color(index), true);
        } else {
            add(quantity, one.then_some("training"), trained, false);
            add(&validation, Some(name("validation")), validated, true);
        }
    }
    lines
}

/// A value with its first digits.
pub(crate) fn short(value: f64) -> String {
    if (1e-3..1e6).contains(&value.abs()) || value == 0.0 { format!("{value:.4}") } else { format!("{value:.3e}") }
}

fn finite(lines: &[Line]) -> impl Iterator<Item = (f64, f64)> {
    lines.iter().flat_map(|line| &line.points).copied().filter(|(_, value)| value.is_finite())
}

/// The first and the last epoch.
fn epochs(lines: &[Line]) -> (f64, f64) {
    let all = || lines.iter().flat_map(|line| &line.points).map(|&(epoch, _)| epoch);
    (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
}

/// The axis of values, with some room at both ends; shares end at 1.
fn range(quantity: &str, lines: &[Line]) -> (f64, f64) {
    let values = || finite(lines).map(|(_, value)| value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return (0.0, 1.0);
    }
    let room = if high > low { 0.06 * high - 0.06 * low } else { 0.05 * high.abs().max(0.1) };
    let share = quantity.ends_with("accuracy") && high <= 1.0;
    let top = if share { (high + room).min(1.0 + room / 4.0) } else { high + room };
    ((low - room).max(f64::MIN), top.min(f64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn run(name: &str, history: &str) -> Curve {
        Curve { name: name.to_owned(), log: Log::parse(history, Path::new("history.csv")).unwrap() }
    }

    #[test]
    fn the_best_of_each_is_marked_for_itself() {
        let history =
            "epoch,loss,accuracy,val_loss,val_accuracy\n1,2,0.5,0.3,0.9\n2,1,0.6,0.2,0.9545\n3,3,0.7,0.4,0.9555\n";
        let runs = [run("one", history)];
        let said = |quantity: &str, runs: &[Curve]| {
            lines(quantity, runs).into_iter().map(|line| (line.label, line.mark)).collect::<Vec<_>>()
        };
        let training = (Some("training".to_owned()), None);
        let best = |label: &str, epoch: f64, value: f64| (Some(label.to_owned()), Some((epoch, value)));
        assert_eq!(said("loss", &runs), [training.clone(), best("validation, best 0.2000 in epoch 2", 2.0, 0.2)]);
        assert_eq!(said("accuracy", &runs), [training, best("validation, best 0.9555 in epoch 3", 3.0, 0.9555)]);
        // Without validation, and beside another run.
        let runs = [run("one", history), run("two", "epoch,loss\n1,NaN\n2,5\n3,4\n")];
        let two = best("two, best 4.0000 in epoch 3", 3.0, 4.0);
        assert_eq!(said("loss", &runs), [(None, None), best("one, best 0.2000 in epoch 2", 2.0, 0.2), two]);
    }

    #[test]
    fn whatever_the_numbers_are_there_is_a_picture() {
        let numbers = ["NaN", "inf", "-inf", "0", "1", "-1", "1.7e308", "-1.7e308", "5e-324", "1e-300"];
        for (i, first) in numbers.into_iter().enumerate() {
            for second in [1, 3].map(|step| numbers[(i + step) % numbers.len()]) {
                let one = format!("epoch,loss\n1,{first}\n");
                let two =
                    format!("epoch,loss,val_loss,accuracy\n1,{first},{second},1\n1000000000,{second},{first},0.5\n");
                assert!(curves(&[run("one", &one), run("two", &two)]).is_ok(), "{first} {second}");
            }
        }
    }

    #[test]
    fn many_quantities_and_runs_are_bounded() {
        assert_eq!([1, 2, 3, 4, 5, 9, 10, 12].map(columns), [1, 2, 3, 2, 3, 3, 4, 4]);
        let names: Vec<String> = (0..300).map(|i| format!("metric_{i}")).collect();
        let history = format!("epoch,loss,{}\n1,1{}\n", names.join(","), ",1".repeat(300));
        let picture = curves(&[run("a", &history)]).unwrap();
        let header = png::Decoder::new(std::io::Cursor::new(picture)).read_header_info().unwrap().size();
        assert_eq!(header, (2 * 4 * 480, 2 * (36 + 3 * 330)));
        let runs: Vec<Curve> = (0..50).map(|i| run(&format!("run {i}"), &history)).collect();
        assert_eq!([1, 10, 20, 50].map(|count| quantities(&runs[..count]).1), [12, 12, 6, 2]);
        let runs: Vec<Curve> = (0..51).map(|i| run(&format!("run {i}"), "epoch,loss\n1,1\n")).collect();
        assert!(curves(&runs[..50]).is_ok());
        let refused = curves(&runs).unwrap_err();
        assert_eq!(refused.message(), "51 runs cannot be told apart in one picture: name at most 50");
    }
}
