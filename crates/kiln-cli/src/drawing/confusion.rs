//! A confusion matrix: rows are classes, columns what they were taken for.

use super::canvas::{Align, Canvas, Font, Ink};
use crate::confusion::Confusion;
use kiln::Result;

/// Points of a cell (wider where names need it), of what is above all cells, and of the room around.
const CELL: (f32, f32) = (50.0, 44.0);
const ABOVE: f32 = 92.0;
const ROOM: f32 = 16.0;

/// Colors of what was right and of mistakes.
const RIGHT: Ink = Ink::new(0, 90, 150);
const WRONG: Ink = Ink::new(190, 60, 0);

/// The PNG file of the matrix, each cell as dark as its share of the row.
pub(crate) fn confusion(matrix: &Confusion, title: &str) -> Result<Vec<u8>> {
    let count = matrix.names.len() as f32;
    let longest = matrix.names.iter().map(|name| Font::LABEL.width(name)).fold(0.0, f32::max);
    let (wide, high) = ((longest + 12.0).max(CELL.0).ceil(), CELL.1);
    let left = (longest + 64.0).ceil();
    let width = (left + count * wide + ROOM).max(Font::TITLE.width(title) + 2.0 * ROOM);
    let mut canvas = Canvas::new(width, ABOVE + count * high + ROOM)?;
    let centered = Font::LABEL.align(Align::Center);
    let middle = left + count * wide / 2.0;
    canvas.text(title, (width / 2.0, 24.0), Font::TITLE.align(Align::Center));
    canvas.text("predicted", (middle, 54.0), centered);
    canvas.text("class", (22.0, ABOVE + count * high / 2.0), centered.upward());
    for (row, name) in matrix.names.iter().enumerate() {
        let y = ABOVE + row as f32 * high;
        canvas.text(name, (left - 12.0, y + high / 2.0), Font::LABEL.align(Align::Right));
        canvas.text(name, (left + (row as f32 + 0.5) * wide, ABOVE - 14.0), centered);
        let samples = matrix.counts[row].iter().sum::<usize>().max(1);
        for (column, &count) in matrix.counts[row].iter().enumerate() {
            let x = left + column as f32 * wide;
            // The few mistakes of a good model are to be seen too: shades grow by the square root of the share.
            let shade = (count as f64 / samples as f64).sqrt() as f32;
            let ink = if row == column { RIGHT } else { WRONG };
            canvas.rectangle((x, y), (wide, high), ink.opacity(shade));
            canvas.frame((x - 0.5, y - 0.5), (wide + 1.0, high + 1.0), 1.0, Ink::PALE);
            if count > 0 {
                let ink = if shade > 0.55 { Ink::WHITE } else { Ink::DARK };
                canvas.text(&count.to_string(), (x + wide / 2.0, y + high / 2.0), centered.ink(ink));
            }
        }
    }
    canvas.png()
}
