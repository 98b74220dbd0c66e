//! A confusion matrix: rows are classes, columns what they were taken for.

use super::{Drawn, SCALE, font, picture, px};
use crate::confusion::Confusion;
use kiln::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a cell, of the edges beside and above all cells, and of a letter of a class's name.
const CELL: u32 = 56;
const EDGE: (u32, u32) = (76, 84);
const LETTER: u32 = 8;

/// The PNG file of the matrix, each cell as dark as its share of the row.
pub(crate) fn confusion(matrix: &Confusion, title: &str) -> Result<Vec<u8>> {
    let classes = matrix.names.len() as u32;
    let longest = matrix.names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as u32;
    let (left, top) = (EDGE.0 + longest * LETTER, EDGE.1);
    let (width, height) = (left + classes * CELL + 16, top + classes * CELL + 16);
    picture(width, height, |area| {
        let at = |x: u32, y: u32| (px(x) as i32, px(y) as i32);
        let aligned = |align: HPos, text: &str, size: u32, place: (i32, i32), colour: RGBColor| -> Drawn<()> {
            let style = font(size).pos(Pos::new(align, VPos::Center)).color(&colour);
            area.draw(&Text::new(text.to_owned(), place, style))
        };
        let write = |text: &str, size, place, colour| aligned(HPos::Center, text, size, place, colour);
        let ink = RGBColor(40, 40, 40);
        write(title, 17, at(left + classes * CELL / 2, 20), ink)?;
        write("predicted", 14, at(left + classes * CELL / 2, 46), ink)?;
        write("class", 14, at(30, top + classes * CELL / 2), ink)?;
        for (row, name) in matrix.names.iter().enumerate() {
            let y = top + row as u32 * CELL;
            aligned(HPos::Right, name, 14, at(left - 14, y + CELL / 2), ink)?;
            // Above a cell there is room for some seven letters.
            let size = if name.chars().count() > 7 { 10 } else { 14 };
            write(name, size, at(left + row as u32 * CELL + CELL / 2, top - 16), ink)?;
            for (column, &count) in matrix.counts[row].iter().enumerate() {
                let x = left + column as u32 * CELL;
                let share = count as f64 / matrix.counts[row].iter().sum::<usize>().max(1) as f64;
                let hue = if row == column { RGBColor(0, 90, 150) } else { RGBColor(190, 60, 0) };
                // The few mistakes of a good model are to be seen too: shares grow by their square root.
                let shade = hue.mix(share.sqrt());
                let corners = [at(x, y), at(x + CELL, y + CELL)];
                area.draw(&Rectangle::new(corners, WHITE.filled()))?;
                area.draw(&Rectangle::new(corners, shade.filled()))?;
                area.draw(&Rectangle::new(corners, RGBColor(210, 210, 210).stroke_width(SCALE)))?;
                if count > 0 {
                    let colour = if share.sqrt() > 0.55 { WHITE } else { ink };
                    write(&count.to_string(), 14, at(x + CELL / 2, y + CELL / 2), colour)?;
                }
            }
        }
        Ok(())
    })
}
