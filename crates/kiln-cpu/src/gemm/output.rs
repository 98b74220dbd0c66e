//! Tiles into C: directly where C's memory allows it, else over a tile on the stack.

use super::MatrixElement;
use super::epilogue::GemmEpilogue;
use super::kernels::{Kernels, MAX_WIDTH_BYTES, TileFn};
use super::tile::{Held, Tile};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Where the tiles of a group go, and what becomes of them there.
pub(super) struct Output<'a, U: MatrixElement> {
    pub(super) kernels: &'static Kernels<U::Accumulator>,
    /// C's element (0, 0).
    pub(super) c: *mut U,
    pub(super) strides: (isize, isize),
    pub(super) epilogue: &'a GemmEpilogue<'a, U::Accumulator>,
    /// What C holds.
    pub(super) held: Held,
    /// Whether the sums end here, and there is a bias or an activation to follow.
    pub(super) finish: bool,
}

/// How the rows of a block of A are dealt out to tiles.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// In as few parts as possible, as equal as possible: A is read where it lies.
    Equal,
    /// As they were packed: so many rows each, but for the last, and so far from one part to the next.
    Slivers { rows: usize, step: usize },
}

impl Cut {
    /// `rows` rows in parts of at most `most`, as (first row, rows).
    fn parts(self, rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
        let (each, more) = match self {
            Cut::Equal => {
                let count = rows.div_ceil(most).max(1);
                (rows / count, rows % count)
            }
            Cut::Slivers { rows, .. } => (most / rows * rows, 0),
        };
        let start = move |part: usize| (part * each + part.min(more)).min(rows);
        (0..).map(move |part| (start(part), start(part + 1) - start(part))).take_while(|&(_, count)| count > 0)
    }

    /// From the block's first row of A to row `i`, the first of a part.
    fn down(self, i: usize, a_row: isize) -> isize {
        match self {
            Cut::Equal => i as isize * a_row,
            Cut::Slivers { rows, step } => (i / rows * step) as isize,
        }
    }
}

/// One panel of B against the rows of a block.
pub(super) struct Sweep<T: 'static> {
    /// The panel's micro-kernels, by rows.
    pub(super) tiles: &'static [TileFn<T>],
    /// Rows of C.
    pub(super) rows: Range<usize>,
    /// How they are dealt out.
    pub(super) cut: Cut,
    /// The first column of C.
    pub(super) j: usize,
    /// Columns of C, at most `panel`.
    pub(super) columns: usize,
    /// Columns of the panel.
    pub(super) panel: usize,
}

/// The most rows that are staged at once: where C's rows are adjacent, whole cache lines of them.
pub(super) const STAGE_ROWS: usize = 32;

/// Tiles on the stack.
#[repr(align(64))]
pub(super) struct Stage(pub(super) MaybeUninit<[u8; STAGE_ROWS * MAX_WIDTH_BYTES]>);

impl<U: MatrixElement> Output<'_, U> {
    /// Computes the sweep's tiles; `tile` is the first but for `c`.
    ///
    /// # Safety
    /// The tile's operands are readable for all rows; nobody else touches these elements of C.
    pub(super) unsafe fn sweep(&self, sweep: &Sweep<U::Accumulator>, tile: Tile<'_, U::Accumulator>) {
        let column = self.c.wrapping_offset(sweep.j as isize * self.strides.1);
        let corner = |row: usize| column.wrapping_offset(row as isize * self.strides.0);
        // SAFETY: the tiles lie within C, and are this thread's own.
        unsafe {
            if U::NATIVE && self.strides.1 == 1 && sweep.columns == sweep.panel {
                let rows = sweep.rows.clone();
                return self.tiles(sweep, tile, rows, corner(sweep.rows.start).cast(), self.strides.0);
            }
            for (i, rows) in sweep.cut.parts(sweep.rows.len(), STAGE_ROWS) {
                let row = sweep.rows.start + i;
                let a_offset = tile.a_offset + sweep.cut.down(i, tile.a_row);
                self.staged(sweep, Tile { a_offset, ..tile }, row..row + rows, corner(row));
            }
        }
    }

    /// Adds a row of sums to C's elements (i, j), (i, j + 1), …, which hold some. C's elements are numbers.
    ///
    /// # Safety
    /// The elements are within C; nobody else touches them or the sums, which need not be kept.
    pub(super) unsafe fn add(&self, i: usize, j: usize, sums: &mut [U::Accumulator]) {
        let c =
            self.c.wrapping_offset(i as isize * self.strides.0 + j as isize * self.strides.1).cast::<U::Accumulator>();
        let at = |column: usize| c.wrapping_offset(column as isize * self.strides.1);
        // SAFETY: as the caller promises; the table is that of an available instruction set.
        unsafe {
            if self.strides.1 == 1 {
                let row = std::slice::from_raw_parts_mut(c, sums.len());
                (self.kernels.add_row)(row, sums);
                if self.finish {
                    self.epilogue.finish(self.kernels, row, i, j);
                }
                return;
            }
            sums.iter_mut().enumerate().for_each(|(column, sum)| *sum = *at(column) + *sum);
            if self.finish {
                self.epilogue.finish(self.kernels, sums, i, j);
            }
            sums.iter().enumerate().for_each(|(column, &sum)| *at(column) = sum);
        }
    }

    /// Computes the tiles of some rows into numbers at `c`, `c_row` from row to row; `tile` is the first.
    ///
    /// # Safety
    /// As [`Output::sweep`]; the numbers are writable, and readable where they hold something.
    unsafe fn tiles(
        &self,
        sweep: &Sweep<U::Accumulator>,
        tile: Tile<'_, U::Accumulator>,
        rows: Range<usize>,
        c: *mut U::Accumulator,
        c_row: isize,
    ) {
        for (i, mr) in sweep.cut.parts(rows.len(), sweep.tiles.len()) {
            let a_offset = tile.a_offset + sweep.cut.down(i, tile.a_row);
            let tile = Tile { a_offset, c: c.wrapping_offset(i as isize * c_row), c_row, ..tile };
            // SAFETY: as the caller promises.
            unsafe {
                sweep.tiles[mr - 1](&tile);
                if self.finish {
                    for r in 0..mr {
                        let row = tile.c.offset(r as isize * c_row);
                        let numbers = std::slice::from_raw_parts_mut(row, sweep.columns);
                        self.epilogue.finish(self.kernels, numbers, rows.start + i + r, sweep.j);
                    }
                }
            }
        }
    }

    /// Computes some rows on the stack and moves them to C, where their first element is at `corner`.
    ///
    /// # Safety
    /// As [`Output::sweep`], for at most [`STAGE_ROWS`] rows.
    unsafe fn staged(
        &self,
        sweep: &Sweep<U::Accumulator>,
        tile: Tile<'_, U::Accumulator>,
        rows: Range<usize>,
        corner: *mut U,
    ) {
        let (row_stride, col_stride) = self.strides;
        let at = |i: usize, j: usize| corner.wrapping_offset(i as isize * row_stride + j as isize * col_stride);
        let (count, columns, panel) = (rows.len(), sweep.columns, sweep.panel);
        // C's rows are adjacent: blocks are transposed in registers.
        let adjacent = row_stride == 1;
        let transposed = U::NATIVE && adjacent;
        let mut stage = Stage(MaybeUninit::uninit());
        let numbers: *mut U::Accumulator = stage.0.as_mut_ptr().cast();
        // SAFETY: within C, and within the stage: the widest panel of any table fits. The kernels write all of it
        // before any of it is read.
        unsafe {
            if tile.held != Held::Nothing && transposed {
                let widths = (columns, panel);
                (self.kernels.transpose)(corner.cast(), col_stride, count, widths, numbers, panel as isize);
            } else if tile.held != Held::Nothing {
                for i in 0..count {
                    for j in 0..panel {
                        let x = if j < columns { (*at(i, j)).to_number() } else { U::Accumulator::default() };
                        *numbers.add(i * panel + j) = x;
                    }
                }
            }
            self.tiles(sweep, tile, rows, numbers, panel as isize);
            if transposed {
                let widths = (count, count);
                return (self.kernels.transpose)(numbers, panel as isize, columns, widths, corner.cast(), col_stride);
            }
            if adjacent && col_stride != 1 {
                let mut turned = Stage(MaybeUninit::uninit());
                let turned: *mut U::Accumulator = turned.0.as_mut_ptr().cast();
                let widths = (count, count);
                (self.kernels.transpose)(numbers, panel as isize, columns, widths, turned, count as isize);
                for j in 0..columns {
                    let numbers = std::slice::from_raw_parts(turned.add(j * count), count);
                    U::narrow(numbers, std::slice::from_raw_parts_mut(at(0, j), count));
                }
                return;
            }
            for i in 0..count {
                let numbers = std::slice::from_raw_parts(numbers.add(i * panel), columns);
                if col_stride == 1 {
                    U::narrow(numbers, std::slice::from_raw_parts_mut(at(i, 0), columns));
                } else {
                    for (j, &x) in numbers.iter().enumerate() {
                        *at(i, j) = U::from_number(x);
                    }
                }
            }
        }
    }
}

/// `rows` rows cut into parts of at most `most`, as (first row, rows): as few as possible, as equal as possible.
pub(crate) fn equal_parts(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    Cut::Equal.parts(rows, most)
}
