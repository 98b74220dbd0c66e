//! What the examples draw with: panels of curves in a PNG file.

#![allow(dead_code, clippy::unwrap_used)] // each example uses a part; a panic is a test's report

use kiln::{Error, ErrorKind, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

/// The font that the command draws with; plotters finds none by itself.
const FONT: &[u8] = include_bytes!("../../../kiln-cli/src/drawing/font/DejaVuSans.ttf");

/// Pixels of a panel.
const PANEL: (u32, u32) = (520, 380);

/// Drawn at so many times the size and averaged: smooth edges.
const SCALE: u32 = 2;

/// Colours that can be told apart, with a defect of sight too (Okabe and Ito 2008).
pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const ORANGE: RGBColor = RGBColor(213, 94, 0);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(crate) const GREY: RGBColor = RGBColor(130, 130, 130);

enum Look {
    Solid,
    Dashed,
    Dots,
}

struct Curve {
    label: String,
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    look: Look,
}

/// Curves over the same axes.
pub(crate) struct Panel {
    title: String,
    x: (&'static str, Range<f64>),
    y: (&'static str, Range<f64>),
    curves: Vec<Curve>,
    legend: SeriesLabelPosition,
}

impl Panel {
    /// Axes: what they are called and how far they go.
    pub(crate) fn new(title: &str, x: (&'static str, Range<f64>), y: (&'static str, Range<f64>)) -> Self {
        Panel { title: title.to_owned(), x, y, curves: Vec::new(), legend: SeriesLabelPosition::UpperLeft }
    }

    fn with(mut self, label: &str, colour: RGBColor, look: Look, points: Vec<(f64, f64)>) -> Self {
        // What leaves the axes is not drawn: plotters would let it run along their edge.
        let points = points.into_iter().filter(|(_, y)| self.y.1.contains(y));
        let points = points.collect();
        self.curves.push(Curve { label: label.to_owned(), points, colour, look });
        self
    }

    pub(crate) fn line(self, label: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Self {
        self.with(label, colour, Look::Solid, points)
    }

    pub(crate) fn dashed(self, label: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Self {
        self.with(label, colour, Look::Dashed, points)
    }

    pub(crate) fn dots(self, label: &str, colour: RGBColor, points: Vec<(f64, f64)>) -> Self {
        self.with(label, colour, Look::Dots, points)
    }

    /// Puts the legend into the lower right corner; otherwise it is in the upper left one.
    pub(crate) fn legend_below(self) -> Self {
        Panel { legend: SeriesLabelPosition::LowerRight, ..self }
    }

    fn draw(
        &self,
        area: &DrawingArea<BitMapBackend<'_>, Shift>,
    ) -> std::result::Result<(), Box<dyn std::error::Error>> {
        let font = |size: u32| ("sans-serif", size * SCALE).into_font().color(&RGBColor(40, 40, 40));
        let thick = |colour: RGBColor, width: u32| colour.stroke_width(width * SCALE);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, font(18))
            .margin(10 * SCALE)
            .margin_right(20 * SCALE)
            .x_label_area_size(38 * SCALE)
            .y_label_area_size(54 * SCALE)
            .build_cartesian_2d(self.x.1.clone(), self.y.1.clone())?;
        chart
            .configure_mesh()
            .x_desc(self.x.0)
            .y_desc(self.y.0)
            .x_labels(7)
            .y_labels(7)
            .x_label_formatter(&short)
            .y_label_formatter(&short)
            .label_style(font(13))
            .axis_desc_style(font(14))
            .light_line_style(TRANSPARENT)
            .bold_line_style(thick(RGBColor(225, 225, 225), 1))
            .axis_style(thick(RGBColor(120, 120, 120), 1))
            .draw()?;
        for Curve { label, points, colour, look } in &self.curves {
            let (colour, points) = (*colour, points.iter().copied());
            let line = thick(colour, 2);
            let series = match look {
                Look::Solid => chart.draw_series(LineSeries::new(points, line))?,
                Look::Dashed => chart.draw_series(DashedLineSeries::new(points, 5 * SCALE, 4 * SCALE, line))?,
                Look::Dots => chart.draw_series(points.map(|at| Circle::new(at, 3 * SCALE / 2, colour.filled())))?,
            };
            series.label(label).legend(move |(x, y)| {
                let at = |along: u32| (x + (along * SCALE) as i32, y);
                match look {
                    Look::Solid => PathElement::new([at(0), at(18)], line).into_dyn(),
                    Look::Dashed => {
                        let ends = [at(0), at(18)].into_iter();
                        plotters::element::DashedPathElement::new(ends, 7 * SCALE, 4 * SCALE, line).into_dyn()
                    }
                    Look::Dots => Circle::new(at(9), 3 * SCALE / 2, colour.filled()).into_dyn(),
                }
            });
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .margin(8 * SCALE)
            .legend_area_size(24 * SCALE)
            .label_font(font(13))
            .background_style(WHITE.mix(0.85))
            .border_style(thick(RGBColor(200, 200, 200), 1))
            .draw()?;
        Ok(())
    }
}

/// A number without the zeros that say nothing.
#[allow(clippy::trivially_copy_pass_by_ref)] // as plotters calls it
fn short(value: &f64) -> String {
    let text = format!("{value:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Draws the panels, so many in a row, into a PNG file.
pub(crate) fn save(path: &Path, columns: usize, panels: &[Panel]) -> Result<()> {
    draw(path, columns, panels)
        .map_err(|error| Error::new(ErrorKind::Io, "plot", format!("{}: {error}", path.display())))
}

fn draw(path: &Path, columns: usize, panels: &[Panel]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    plotters::style::register_font("sans-serif", FontStyle::Normal, FONT).map_err(|_| "the font cannot be read")?;
    let rows = panels.len().div_ceil(columns);
    let (width, height) = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let mut pixels = vec![0; (3 * width * height * SCALE * SCALE) as usize];
    {
        let size = (width * SCALE, height * SCALE);
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE)?;
        area.split_evenly((rows, columns)).iter().zip(panels).try_for_each(|(area, panel)| panel.draw(area))?;
        area.present()?;
    }
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&smaller(&pixels, (width * SCALE) as usize))?;
    Ok(())
}

/// Each `SCALE` × `SCALE` pixels as one, their mean.
fn smaller(pixels: &[u8], width: usize) -> Vec<u8> {
    let scale = SCALE as usize;
    let mut out = Vec::with_capacity(pixels.len() / (scale * scale));
    for rows in pixels.chunks_exact(3 * width * scale) {
        for at in (0..width / scale).flat_map(|x| (0..3).map(move |channel| 3 * x * scale + channel)) {
            let sum: usize =
                (0..scale * scale).map(|i| usize::from(rows[at + 3 * (width * (i / scale) + i % scale)])).sum();
            out.push((sum / (scale * scale)) as u8);
        }
    }
    out
}

/// The size of a picture, and whether something is drawn on it.
#[cfg(test)]
pub(crate) fn ink(path: &Path) -> (u32, u32, bool) {
    let mut reader =
        png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    (frame.width, frame.height, pixels.iter().filter(|&&byte| byte < 128).count() > 1000)
}
