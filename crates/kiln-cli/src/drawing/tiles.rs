//! Small pictures in rows: filters and feature maps.

use super::{enlarged, font, picture, px};
use kiln::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels that a tile in a row of many is about wide and high, of the gap between two, of the edge around all, and of a heading.
pub(crate) const SIDE: u32 = 48;
const GAP: u32 = 5;
const EDGE: u32 = 16;
const HEADING: u32 = 34;

/// Tiles in a row.
pub(crate) const COLUMNS: usize = 16;

/// A small picture, row by row.
pub(crate) struct Tile {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<[u8; 3]>,
}

/// Tiles below a heading.
pub(crate) struct Group {
    pub(crate) heading: String,
    /// Pixels that a tile is about wide and high.
    pub(crate) side: u32,
    pub(crate) tiles: Vec<Tile>,
}

impl Group {
    /// By how much a tile's pixels are enlarged.
    fn square(&self, tile: &Tile) -> u32 {
        (self.side / tile.width.max(tile.height).max(1) as u32).max(1)
    }

    /// The width and height of each tile's place.
    fn cell(&self) -> (u32, u32) {
        let largest = |size: fn(&Tile) -> usize| {
            self.tiles.iter().map(|tile| size(tile) as u32 * self.square(tile)).max().unwrap_or(0)
        };
        (largest(|tile| tile.width) + GAP, largest(|tile| tile.height) + GAP)
    }

    fn height(&self) -> u32 {
        HEADING + self.tiles.len().div_ceil(COLUMNS) as u32 * self.cell().1
    }
}

/// The PNG file of the groups, one below the other.
pub(crate) fn tiles(groups: &[Group]) -> Result<Vec<u8>> {
    let across = |group: &Group| group.cell().0 * group.tiles.len().min(COLUMNS) as u32;
    let widest = groups.iter().map(across).max().unwrap_or(0).max(COLUMNS as u32 * (SIDE + GAP));
    let height = groups.iter().map(Group::height).sum::<u32>();
    picture(widest + 2 * EDGE, height + 2 * EDGE, |area| {
        let mut top = EDGE;
        for group in groups {
            let style = font(14).pos(Pos::new(HPos::Left, VPos::Center));
            let place = (px(EDGE) as i32, px(top + HEADING / 2) as i32);
            area.draw(&Text::new(group.heading.clone(), place, style))?;
            let (wide, high) = group.cell();
            for (i, tile) in group.tiles.iter().enumerate() {
                let (column, row) = ((i % COLUMNS) as u32, (i / COLUMNS) as u32);
                let place = (EDGE + column * wide, top + HEADING + row * high);
                enlarged(area, place, (tile.width, tile.height), group.square(tile), |pixel| tile.pixels[pixel])?;
            }
            top += group.height();
        }
        Ok(())
    })
}
