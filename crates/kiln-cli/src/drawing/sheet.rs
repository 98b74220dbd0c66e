//! A contact sheet: images of a data set, a row for each class.

use super::{enlarged, font, picture, px};
use kiln::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels that an image is at least wide and high, of the gap between two, and of the edges beside and above all.
const SIDE: u32 = 84;
const GAP: u32 = 6;
const EDGE: (u32, u32) = (108, 40);

/// A class: its name, and its images as planes of bytes, of grey or of red, green and blue.
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
    let Sheet { rows, heading: [first, others], .. } = sheet;
    let (height, width) = (sheet.height as u32, sheet.width as u32);
    // Small images enlarged, large ones as they are.
    let square = SIDE.div_ceil(height.max(width).max(1)).max(1);
    let (across, down) = (width * square, height * square);
    let columns = rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0) as u32;
    let apart = if first.is_empty() { 0 } else { 2 * GAP };
    let left = |column: u32| EDGE.0 + column * (across + GAP) + if column > 0 { apart } else { 0 };
    let top = |row: u32| EDGE.1 + row * (down + GAP);
    let size = (left(columns) + GAP, top(rows.len() as u32) + GAP);
    picture(size.0, size.1, |area| {
        let write = |text: &str, x: u32, y: u32, align| {
            let style = font(14).pos(Pos::new(align, VPos::Center));
            area.draw(&Text::new(text.to_owned(), (px(x) as i32, px(y) as i32), style))
        };
        let begin = if first.is_empty() { left(0) } else { left(1) };
        write(first, left(0) + across / 2, EDGE.1 / 2, HPos::Center)?;
        write(others, (begin + left(columns) - GAP) / 2, EDGE.1 / 2, HPos::Center)?;
        for (r, row) in (0..).zip(rows) {
            write(&row.name, EDGE.0 - 12, top(r) + down / 2, HPos::Right)?;
            for (c, bytes) in (0..).zip(&row.pictures) {
                enlarged(area, (left(c), top(r)), (sheet.width, sheet.height), square, |pixel| {
                    colour(bytes, pixel, sheet.width * sheet.height)
                })?;
            }
        }
        Ok(())
    })
}

/// Red, green and blue of a pixel.
fn colour(planes: &[u8], pixel: usize, size: usize) -> [u8; 3] {
    match planes.len() / size.max(1) {
        3 => [0, 1, 2].map(|channel| planes[channel * size + pixel]),
        _ => [planes.get(pixel).copied().unwrap_or(0); 3],
    }
}
