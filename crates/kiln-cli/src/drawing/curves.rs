//! Loss and metrics by epoch: a panel for each, with the best epoch marked.

use super::{Area, Drawn, SCALE, font, picture, px};
use crate::log::Log;
use kiln::{Error, Result};
use plotters::prelude::*;

/// Pixels of a panel.
const PANEL: (u32, u32) = (640, 440);

/// Panels of a picture, beside each other: more would be an image of gigabytes.
const MOST_PANELS: usize = 32;

/// Larger values than this are drawn here: the difference of two must be finite.
const LARGEST: f64 = 1e300;

/// Colours that can be told apart, with a defect of sight too (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// A run's log and what it is called.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) log: Log,
}

/// A line of a panel.
struct Line {
    label: Option<String>,
    points: Vec<(i32, f64)>,
    style: ShapeStyle,
    /// Its best epoch with the value there.
    best: Option<(i32, f64)>,
}

/// The PNG file of the runs' curves: training and validation of one run, or several runs one over the other, where the
/// training is paler than the validation.
pub(crate) fn curves(runs: &[Curve]) -> Result<Vec<u8>> {
    let mut quantities: Vec<&str> = Vec::new();
    for quantity in runs.iter().flat_map(|run| run.log.quantities()) {
        if !quantities.contains(&quantity) {
            quantities.push(quantity);
        }
    }
    if quantities.len() > MOST_PANELS {
        let message = format!("{} quantities are more than the {MOST_PANELS} that a picture shows", quantities.len());
        return Err(Error::value("", message));
    }
    let (width, height) = PANEL;
    picture(width * quantities.len().max(1) as u32, height, |area| {
        let panels = area.split_evenly((1, quantities.len().max(1)));
        panels.iter().zip(&quantities).try_for_each(|(area, quantity)| panel(area, quantity, runs))
    })
}

/// A tick's value with as many digits as ticks need that are this far apart or, as plotters rounds the distance, the next 1,
/// 2 or 5 times a power of 10.
fn tick(value: f64, distance: f64) -> String {
    let digits = -(2.0 * distance).log10();
    let digits = digits.ceil().clamp(0.0, 8.0) as usize;
    format!("{value:.digits$}")
}

fn lines(quantity: &str, runs: &[Curve]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let colour = |index: usize| COLOURS[index % COLOURS.len()];
        let stroke = |colour: RGBAColor| colour.stroke_width(px(2));
        let (training, validation) = if runs.len() == 1 {
            (colour(0).to_rgba(), colour(1).to_rgba())
        } else {
            (colour(index).mix(0.35), colour(index).to_rgba())
        };
        let points = |name: &str| -> Vec<(i32, f64)> {
            let points = run.log.points(name).into_iter();
            points.map(|(epoch, value)| (epoch, value.clamp(-LARGEST, LARGEST))).collect()
        };
        let (trained, validated) = (points(quantity), points(&format!("val_{quantity}")));
        let best = |points: &[(i32, f64)]| points.iter().copied().find(|&(epoch, _)| Some(epoch) == run.log.best());
        let named = |single: &str| Some(if runs.len() == 1 { single.to_owned() } else { run.name.clone() });
        let alone = validated.is_empty();
        lines.push(Line {
            label: if runs.len() == 1 || alone { named("training") } else { None },
            best: if alone { best(&trained) } else { None },
            points: trained,
            style: stroke(if alone { colour(index).to_rgba() } else { training }),
        });
        lines.push(Line {
            label: named("validation"),
            best: best(&validated),
            points: validated,
            style: stroke(validation),
        });
    }
    lines.retain(|line| !line.points.is_empty());
    lines
}

/// The axis of values, with some room at both ends; shares end at 1.
fn range(quantity: &str, lines: &[Line]) -> (f64, f64) {
    let values = || lines.iter().flat_map(|line| &line.points).map(|&(_, value)| value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return (0.0, 1.0);
    }
    // Values that differ in their last digits only, or by next to nothing, are one: there are no ticks between them.
    let apart = high - low > 1e-9 * high.abs().max(low.abs()).max(f64::MIN_POSITIVE * 1e12);
    let room = if apart { 0.06 * (high - low) } else { 0.05 * high.abs().max(0.1) };
    let top = if quantity.ends_with("accuracy") { (high + room).min(1.0 + room / 4.0) } else { high + room };
    (low - room, top)
}

fn panel(area: &Area<'_>, quantity: &str, runs: &[Curve]) -> Drawn<()> {
    let lines = lines(quantity, runs);
    let last = lines.iter().flat_map(|line| &line.points).map(|&(epoch, _)| epoch).max().unwrap_or(1);
    // A single epoch stands in the middle.
    let epochs = if last == 1 { 0..2 } else { 1..last };
    let (low, high) = range(quantity, &lines);
    let caption = if runs.len() > 1 { format!("{quantity} (training is pale)") } else { quantity.to_owned() };
    let mut chart = ChartBuilder::on(area)
        .caption(caption, font(20))
        .margin(px(12))
        .margin_right(px(24))
        .x_label_area_size(px(40))
        .y_label_area_size(px(64))
        .build_cartesian_2d(epochs, low..high)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .x_labels(12)
        .y_labels(8)
        .x_label_formatter(&|epoch| if (1..=last).contains(epoch) { epoch.to_string() } else { String::new() })
        .y_label_formatter(&|value| tick(*value, (high - low) / 8.0))
        .label_style(font(13))
        .axis_desc_style(font(14))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225).stroke_width(px(1)))
        .axis_style(RGBColor(120, 120, 120).stroke_width(px(1)))
        .draw()?;
    for Line { label, points, style, best } in lines {
        let dot = style.color.filled();
        let series = chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        let line = move |(x, y)| PathElement::new([(x, y), (x + px(18) as i32, y)], style);
        let label = label.map(|label| match best {
            Some((epoch, value)) => format!("{label}, best epoch {epoch}: {value:.4}"),
            None => label,
        });
        if let Some(label) = label {
            series.label(label).legend(line);
        }
        if points.len() < 40 {
            chart.draw_series(points.iter().map(|&point| Circle::new(point, px(5) / 2, dot)))?;
        }
        let Some((epoch, value)) = best else { continue };
        if runs.len() == 1 {
            let dash = RGBColor(130, 130, 130).stroke_width(px(1));
            let vertical = [(epoch, low), (epoch, high)];
            chart.draw_series(DashedLineSeries::new(vertical, px(4), px(4), dash))?;
        }
        let ring = style.color.stroke_width(px(2));
        chart.draw_series([Circle::new((epoch, value), px(6), WHITE.filled())])?;
        chart.draw_series([Circle::new((epoch, value), px(6), ring), Circle::new((epoch, value), px(5) / 2, dot)])?;
    }
    let corner = if quantity == "loss" { SeriesLabelPosition::UpperRight } else { SeriesLabelPosition::LowerRight };
    chart
        .configure_series_labels()
        .position(corner)
        .margin(px(10))
        .legend_area_size(px(26))
        .label_font(font(13))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200).stroke_width(SCALE))
        .draw()
}
