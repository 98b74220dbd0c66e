//! Small pictures in rows: filters and feature maps.

use super::canvas::{Canvas, Font};
use kiln::Result;

/// Points that a tile in a row of many is about wide and high, of the gap between two, of the edge around all, and of a heading.
pub(crate) const SIDE: usize = 48;
const GAP: usize = 5;
const EDGE: usize = 16;
const HEADING: usize = 34;

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
    /// Points that a tile is about wide and high.
    pub(crate) side: usize,
    pub(crate) tiles: Vec<Tile>,
}

impl Group {
    /// By how much a tile's pixels are enlarged.
    fn square(&self, tile: &Tile) -> usize {
        (self.side / tile.width.max(tile.height).max(1)).max(1)
    }

    /// The width and height of each tile's place.
    fn cell(&self) -> (usize, usize) {
        let largest =
            |size: fn(&Tile) -> usize| self.tiles.iter().map(|tile| size(tile) * self.square(tile)).max().unwrap_or(0);
        (largest(|tile| tile.width) + GAP, largest(|tile| tile.height) + GAP)
    }

    fn height(&self) -> usize {
        HEADING + self.tiles.len().div_ceil(COLUMNS) * self.cell().1
    }
}

/// The PNG file of the groups, one below the other.
pub(crate) fn tiles(groups: &[Group]) -> Result<Vec<u8>> {
    let across = |group: &Group| group.cell().0 * group.tiles.len().min(COLUMNS);
    let widest = groups.iter().map(across).max().unwrap_or(0).max(COLUMNS * (SIDE + GAP));
    let height = groups.iter().map(Group::height).sum::<usize>();
    let mut canvas = Canvas::new((widest + 2 * EDGE) as f32, (height + 2 * EDGE) as f32)?;
    let mut top = EDGE;
    for group in groups {
        let heading = Font::LABEL.fitted(&group.heading, widest as f32);
        canvas.text(&heading, (EDGE as f32, (top + HEADING / 2) as f32), Font::LABEL);
        let (wide, high) = group.cell();
        for (i, tile) in group.tiles.iter().enumerate() {
            let place = (EDGE + i % COLUMNS * wide, top + HEADING + i / COLUMNS * high);
            canvas.image(place, (tile.width, tile.height), group.square(tile), |pixel| tile.pixels[pixel]);
        }
        top += group.height();
    }
    canvas.png()
}
