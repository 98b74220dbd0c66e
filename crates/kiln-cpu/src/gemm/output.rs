//! Tiles into C: directly where C's memory allows it, else over a tile on the stack.

use super::Element;
use super::epilogue::Epilogue;
use super::kernels::{Kernels, MAX_ROWS, MAX_WIDTH_BYTES, TileFn};
use super::tile::Tile;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Where the tiles of a group go, and what becomes of them there.
pub(super) struct Output<'a, U: Element> {
    pub(super) kernels: &'static Kernels<U::Number>,
    /// C's element (0, 0).
    pub(super) c: *mut U,
    pub(super) strides: (isize, isize),
    pub(super) epilogue: &'a Epilogue<'a, U::Number>,
    /// Whether the chains start from what C holds.
    pub(super) accumulate: bool,
    /// Whether the chains end here, and there is a bias or an activation to follow.
    pub(super) finish: bool,
}

/// One panel of B against the rows of a block.
pub(super) struct Sweep<T: 'static> {
    /// The panel's micro-kernels, by rows.
    pub(super) tiles: &'static [TileFn<T>],
    /// Rows of C.
    pub(super) rows: Range<usize>,
    /// The first column of C.
    pub(super) j: usize,
    /// Columns of C, at most `panel`.
    pub(super) columns: usize,
    /// Columns of the panel.
    pub(super) panel: usize,
}

/// A tile on the stack.
#[repr(align(64))]
struct Stage(MaybeUninit<[u8; MAX_ROWS * MAX_WIDTH_BYTES]>);

impl<U: Element> Output<'_, U> {
    /// Computes the sweep's tiles; `tile` is the first but for `c`.
    ///
    /// # Safety
    /// The tile's operands are readable for all rows; nobody else touches these elements of C.
    pub(super) unsafe fn sweep(&self, sweep: &Sweep<U::Number>, mut tile: Tile<'_, U::Number>) {
        let direct = U::NATIVE && self.strides.1 == 1 && sweep.columns == sweep.panel;
        let base = tile.a_offset;
        tile.c_row = if direct { self.strides.0 } else { sweep.panel as isize };
        let column = self.c.wrapping_offset(sweep.j as isize * self.strides.1);
        for (i, mr) in tiles(sweep.rows.len(), sweep.tiles.len()) {
            let run = sweep.tiles[mr - 1];
            tile.a_offset = base + i as isize * tile.a_row;
            let row = sweep.rows.start + i;
            let corner = column.wrapping_offset(row as isize * self.strides.0);
            // SAFETY: the tile lies within C, or on this stack.
            unsafe {
                if direct {
                    tile.c = corner.cast();
                    run(&tile);
                    if self.finish {
                        self.finish(tile.c, tile.c_row, (row, mr), sweep);
                    }
                } else {
                    self.staged(run, &mut tile, corner, (row, mr), sweep);
                }
            }
        }
    }

    /// Bias and activation, for rows of numbers at `c`.
    ///
    /// # Safety
    /// The rows are this thread's own.
    unsafe fn finish(&self, c: *mut U::Number, c_row: isize, (row, rows): (usize, usize), sweep: &Sweep<U::Number>) {
        for i in 0..rows {
            // SAFETY: as the caller promises.
            let numbers = unsafe { std::slice::from_raw_parts_mut(c.offset(i as isize * c_row), sweep.columns) };
            self.epilogue.finish(self.kernels, numbers, row + i, sweep.j);
        }
    }

    /// Computes one tile on the stack and moves it to C.
    ///
    /// # Safety
    /// As [`Output::sweep`], for the tile at `corner`.
    unsafe fn staged(
        &self,
        run: TileFn<U::Number>,
        tile: &mut Tile<'_, U::Number>,
        corner: *mut U,
        (row, rows): (usize, usize),
        sweep: &Sweep<U::Number>,
    ) {
        let (row_stride, col_stride) = self.strides;
        let at = |i: usize, j: usize| corner.wrapping_offset(i as isize * row_stride + j as isize * col_stride);
        let mut stage = Stage(MaybeUninit::uninit());
        tile.c = stage.0.as_mut_ptr().cast();
        // SAFETY: within C, and within the stage: the largest tile of any table fits. The kernel writes all of it
        // before any of it is read.
        unsafe {
            if tile.accumulate {
                for i in 0..rows {
                    for j in 0..sweep.panel {
                        let x = if j < sweep.columns { (*at(i, j)).to_number() } else { U::Number::default() };
                        *tile.c.add(i * sweep.panel + j) = x;
                    }
                }
            }
            run(tile);
            if self.finish {
                self.finish(tile.c, tile.c_row, (row, rows), sweep);
            }
            for i in 0..rows {
                let numbers = std::slice::from_raw_parts(tile.c.add(i * sweep.panel), sweep.columns);
                if col_stride == 1 {
                    U::narrow(numbers, std::slice::from_raw_parts_mut(at(i, 0), sweep.columns));
                } else {
                    for (j, &x) in numbers.iter().enumerate() {
                        *at(i, j) = U::from_number(x);
                    }
                }
            }
        }
    }
}

/// The tiles of `rows` rows, as (first row, rows): as few as possible, as equal as possible.
fn tiles(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most).max(1);
    let (each, more) = (rows / count, rows % count);
    (0..count).map(move |t| (t * each + t.min(more), each + usize::from(t < more)))
}
