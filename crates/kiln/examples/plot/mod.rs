//! What the examples draw with: panels of curves in a PNG file. Charts are the command's.

#![allow(dead_code, clippy::unwrap_used)] // each example uses a part; a panic is a test's report

#[path = "../../../kiln-cli/src/drawing/axis.rs"]
mod axis;
#[path = "../../../kiln-cli/src/drawing/canvas/mod.rs"]
mod canvas;
#[path = "../../../kiln-cli/src/drawing/chart.rs"]
mod chart;

use axis::Axis;
use canvas::{Canvas, Ink};
use chart::{Chart, Line, Look};
use kiln::{Error, ErrorKind, Result};
use std::ops::Range;
use std::path::Path;

/// Points of a panel, each of two pixels.
const PANEL: (f32, f32) = (520.0, 380.0);

/// Colors that can be told apart, with a defect of sight too (Okabe and Ito 2008).
pub(crate) const BLUE: Ink = Ink::new(0, 114, 178);
pub(crate) const ORANGE: Ink = Ink::new(213, 94, 0);
pub(crate) const GREEN: Ink = Ink::new(0, 158, 115);
pub(crate) const GRAY: Ink = Ink::new(130, 130, 130);

/// Curves over the same axes; what leaves the axes is not drawn.
pub(crate) struct Panel {
    title: String,
    x: (&'static str, Axis),
    y: (&'static str, Axis),
    lines: Vec<Line>,
}

impl Panel {
    /// Axes: what they are called and how far they go.
    pub(crate) fn new(title: &str, x: (&'static str, Range<f64>), y: (&'static str, Range<f64>)) -> Self {
        let axis = |(name, range): (_, Range<f64>)| (name, Axis::new(range.start, range.end, 8));
        Panel { title: title.to_owned(), x: axis(x), y: axis(y), lines: Vec::new() }
    }

    fn with(mut self, label: &str, ink: Ink, look: Look, points: Vec<(f64, f64)>) -> Self {
        self.lines.push(Line { label: Some(label.to_owned()), points, ink, look, mark: None });
        self
    }

    pub(crate) fn line(self, label: &str, ink: Ink, points: Vec<(f64, f64)>) -> Self {
        self.with(label, ink, Look::Solid, points)
    }

    pub(crate) fn dashed(self, label: &str, ink: Ink, points: Vec<(f64, f64)>) -> Self {
        self.with(label, ink, Look::Dashed, points)
    }

    pub(crate) fn dots(self, label: &str, ink: Ink, points: Vec<(f64, f64)>) -> Self {
        self.with(label, ink, Look::Dots, points)
    }
}

/// Draws the panels, so many in a row, into a PNG file.
pub(crate) fn save(path: &Path, columns: usize, panels: &[Panel]) -> Result<()> {
    let (width, height) = PANEL;
    let rows = panels.len().div_ceil(columns);
    let mut canvas = Canvas::new(width * columns as f32, height * rows as f32)?;
    for (i, Panel { title, x, y, lines }) in panels.iter().enumerate() {
        let place = ((i % columns) as f32 * width, (i / columns) as f32 * height);
        Chart { title, x: *x, y: *y, lines }.draw(&mut canvas, place, PANEL);
    }
    std::fs::write(path, canvas.png()?)
        .map_err(|error| Error::new(ErrorKind::Io, "plot", format!("{}: {error}", path.display())))
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
