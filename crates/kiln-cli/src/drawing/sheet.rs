//! A contact sheet: images in rows with names, such as a data set's by class.

use super::canvas::{Align, Canvas, Font};
use kiln::Result;

/// Layout in points: least side of an image, gap between images, margin, and space above them.
const SIDE: usize = 84;
const GAP: usize = 6;
const ROOM: usize = 12;
const ABOVE: usize = 40;

/// A row: its name, such as a class, and its images as planes of bytes, of gray or of red, green and blue.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) pictures: Vec<Vec<u8>>,
}

/// What is on a sheet.
pub(crate) struct Sheet<'a> {
    pub(crate) rows: Vec<Row>,
    /// Of an image.
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// What stands above the first column, and above the others; those are set apart where there is something above the first.
    pub(crate) heading: [&'a str; 2],
}

/// The PNG file of the sheet, each pixel of an image a square.
pub(crate) fn sheet(sheet: &Sheet<'_>) -> Result<Vec<u8>> {
    let Sheet { rows, heading: [first, others], height, width } = sheet;
    // Small images enlarged, large ones as they are.
    let square = SIDE.div_ceil((*height).max(*width).max(1)).max(1);
    let (across, down) = (width * square, height * square);
    let columns = rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0);
    let names = rows.iter().map(|row| Font::LABEL.width(&row.name)).fold(0.0, f32::max);
    let edge = names.ceil() as usize + 3 * ROOM;
    let apart = if first.is_empty() { 0 } else { 2 * GAP };
    let left = |column: usize| edge + column * (across + GAP) + if column > 0 { apart } else { 0 };
    let top = |row: usize| ABOVE + row * (down + GAP);
    let mut canvas = Canvas::new((left(columns) + ROOM - GAP) as f32, (top(rows.len()) + ROOM - GAP) as f32)?;
    let centered = Font::LABEL.align(Align::Center);
    let begin = if first.is_empty() { left(0) } else { left(1) };
    canvas.text(first, (left(0) as f32 + across as f32 / 2.0, ABOVE as f32 / 2.0), centered);
    canvas.text(others, ((begin + left(columns) - GAP) as f32 / 2.0, ABOVE as f32 / 2.0), centered);
    for (r, row) in rows.iter().enumerate() {
        let middle = top(r) as f32 + down as f32 / 2.0;
        canvas.text(&row.name, ((edge - ROOM) as f32, middle), Font::LABEL.align(Align::Right));
        for (c, bytes) in row.pictures.iter().enumerate() {
            canvas.image((left(c), top(r)), (*width, *height), square, |pixel| color(bytes, pixel, width * height));
        }
    }
    canvas.png()
}

/// Red, green and blue of a pixel.
fn color(planes: &[u8], pixel: usize, size: usize) -> [u8; 3] {
    match planes.len() / size.max(1) {
        3 => [0, 1, 2].map(|channel| planes[channel * size + pixel]),
        _ => [planes.get(pixel).copied().unwrap_or(0); 3],
    }
}
