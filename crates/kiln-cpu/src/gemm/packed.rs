//! A right-hand side packed once, for the many products that share it: the weights of a recurrent network, which every
//! step multiplies by.

use super::MatrixElement;
use super::epilogue::GemmEpilogue;
use super::kernels::{GemmFloat, Kernels, Width};
use super::output::{Cut, Output, STAGE_ROWS, Stage, Sweep};
use super::row::{RowByPanels, beside};
use super::sum::Sum;
use super::tile::{Held, Span, Tile};
use crate::isa::Isa;
use kiln_math::K_BLOCK;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// B (k × cols) in panels, in memory of its caller's. Written by [`Packed::pack`] and only read by
/// [`Packed::multiply`], each by any thread on columns of its own.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    data: *mut T,
    k: usize,
    cols: usize,
    room: PhantomData<&'a mut [T]>,
}

// SAFETY: an address and sizes; whoever packs or multiplies vouches for what is there.
unsafe impl<T: Send> Send for Packed<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Packed<'_, T> {}

/// Where a product with a packed B goes.
#[derive(Clone, Copy)]
pub(crate) struct Target<T> {
    pub(crate) rows: usize,
    /// C's element in the first row and in B's column 0.
    pub(crate) c: *mut T,
    /// From a row of C to the next.
    pub(crate) c_row: usize,
    /// Whether the sums are added to what C holds.
    pub(crate) accumulate: bool,
}

/// A part of the sum: the columns of A, which are adjacent, meet B's rows `ks`.
#[derive(Clone)]
pub(crate) struct LeftFactor<T> {
    pub(crate) a: *const T,
    /// From a row of A to the next.
    pub(crate) a_row: usize,
    pub(crate) ks: Range<usize>,
}

impl<T> LeftFactor<T> {
    /// What of this factor, whose terms begin at `first` of the sum, belongs to a block.
    fn within(&self, first: usize, block: &Range<usize>) -> Option<LeftFactor<T>> {
        let (from, to) = (block.start.max(first), block.end.min(first + self.ks.len()));
        let (skip, count) = (from.saturating_sub(first), to.saturating_sub(from));
        let ks = self.ks.start + skip..self.ks.start + skip + count;
        (count > 0).then_some(LeftFactor { a: self.a.wrapping_add(skip), a_row: self.a_row, ks })
    }
}

/// A, where it may lie by its columns too: its element (0, 0) and its strides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StridedLeft<T> {
    pub(crate) a: *const T,
    /// From a row of A to the next.
    pub(crate) row: isize,
    /// From a column of A to the next.
    pub(crate) column: isize,
}

/// A panel of the packed B.
struct Panel<'a, T: 'static> {
    width: &'a Width<T>,
    first: *const T,
    /// The first column, how many there are, and how many the micro-kernels compute.
    j: usize,
    columns: usize,
    panel: usize,
}

impl<'a, T: GemmFloat + MatrixElement<Accumulator = T>> Packed<'a, T> {
    /// The columns of a panel: threads that share a product cut it at multiples of this.
    pub(crate) fn panel(isa: Isa) -> usize {
        T::kernels(isa).0.panel()
    }

    /// The numbers that k × cols of B take.
    pub(crate) fn elements(isa: Isa, k: usize, cols: usize) -> usize {
        k * cols.next_multiple_of(T::kernels(isa).0.lanes)
    }

    /// Takes room for k × cols of B from the front of `room`.
    pub(crate) fn take(isa: Isa, room: &mut &'a mut [T], k: usize, cols: usize) -> Self {
        let (own, rest) = std::mem::take(room).split_at_mut(Self::elements(isa, k, cols));
        *room = rest;
        Packed { kernels: T::kernels(isa).0, data: own.as_mut_ptr(), k, cols, room: PhantomData }
    }

    /// B in memory that has room for [`Packed::elements`].
    pub(crate) fn at(isa: Isa, data: *mut T, k: usize, cols: usize) -> Self {
        Packed { kernels: T::kernels(isa).0, data, k, cols, room: PhantomData }
    }

    /// Packs columns of B, whose element (0, 0) is at `b` with strides from row to row and from column to column.
    ///
    /// # Safety
    /// B is readable, and nobody else packs or reads these columns meanwhile. They begin where a panel does and end
    /// where one does, or with the last.
    pub(crate) unsafe fn pack(&self, cols: Range<usize>, b: *const T, strides: (isize, isize)) {
        let spans = [Span::new(std::ptr::null(), b, self.k)];
        let sum = Sum { spans: &spans, k: self.k, a_strides: (0, 0), b_strides: strides };
        // SAFETY: as the caller promises; the panel of column j lies at j·k, and there is room for all of them.
        unsafe { sum.pack_b_to(self.kernels, cols.clone(), self.data.add(cols.start * self.k)) };
    }

    /// `C [+]= Σ A · B[ks, cols]` over the factors, on this thread. The factors' terms are one sum, cut into blocks as any.
    ///
    /// # Safety
    /// These columns are packed. The factors are readable and apart from C, whose columns `cols` are this call's alone.
    /// `cols` begin and end as in [`Packed::pack`].
    pub(crate) unsafe fn multiply(&self, cols: Range<usize>, factors: &[LeftFactor<T>], target: &Target<T>) {
        let terms: usize = factors.iter().map(|factor| factor.ks.len()).sum();
        let mut j = cols.start;
        while j < cols.end {
            let width = self.kernels.width(self.cols - j);
            let panel = width.vectors * self.kernels.lanes;
            let beside = beside(width.vectors) * panel;
            if let ([factor], 1) = (factors, target.rows)
                && j + beside <= cols.end.min(self.cols)
            {
                // SAFETY: as the caller promises; these panels are filled.
                unsafe { self.row(width, j, factor, target) };
                j += beside;
                continue;
            }
            // SAFETY: within the packed panels.
            let first = unsafe { self.data.add(j * self.k).cast_const() };
            let panel = Panel { width, first, j, columns: panel.min(self.cols - j), panel };
            // Block by block, so that the panel's part stays in the first-level caches while the rows of A pass.
            for start in (0..terms).step_by(K_BLOCK) {
                let block = start..terms.min(start + K_BLOCK);
                let ends = factors.iter().scan(0, |end, factor| {
                    *end += factor.ks.len();
                    Some((factor, *end))
                });
                let parts = ends.filter_map(|(factor, end)| factor.within(end - factor.ks.len(), &block));
                let held = Held::sum_if(target.accumulate || start > 0);
                // SAFETY: as the caller promises.
                unsafe { self.block(&panel, parts, target, held) };
            }
            j += panel.panel;
        }
    }

    /// `C [+]= A · B[ks, …]` for one row and several panels from column `j` on.
    ///
    /// # Safety
    /// As [`Packed::multiply`].
    unsafe fn row(&self, width: &Width<T>, j: usize, factor: &LeftFactor<T>, target: &Target<T>) {
        let columns = width.vectors * self.kernels.lanes;
        let row = RowByPanels {
            a: factor.a,
            k: factor.ks.len(),
            b: self.data.wrapping_add(j * self.k + factor.ks.start * columns),
            panel: self.k * columns,
            c: target.c.wrapping_add(j),
            accumulate: target.accumulate,
        };
        // SAFETY: as the caller promises.
        unsafe { (width.row)(&row) };
    }

    /// `C [+]= A · B[ks, cols]` for the rows of one tile, on this thread, at the panels that have some of these columns. A's column 0
    /// meets B's row `ks.start`.
    ///
    /// # Safety
    /// These panels are packed. A is readable and apart from C, whose columns, from the first of these panels to `cols.end` rounded up
    /// to as many registers as a micro-kernel has, are this call's alone.
    pub(crate) unsafe fn multiply_strided(
        &self,
        ks: Range<usize>,
        cols: Range<usize>,
        left: &StridedLeft<T>,
        target: &Target<T>,
    ) {
        let (lanes, mut j) = (self.kernels.lanes, 0);
        while j < cols.end {
            let panel = self.kernels.width(self.cols - j).vectors * lanes;
            if j + panel > cols.start {
                // As few registers of the panel as have what is wanted.
                let fits = |width: &&Width<T>| width.vectors * lanes >= panel.min(cols.end - j);
                let width = self.kernels.widths.iter().rfind(fits).unwrap_or(&self.kernels.widths[0]);
                let spans = [Span::new(left.a, self.data.wrapping_add(j * self.k + ks.start * panel), ks.len())];
                let tile = Tile {
                    spans: &spans,
                    a_offset: 0,
                    a_row: left.row,
                    a_col: left.column,
                    b_row: panel as isize,
                    c: target.c.wrapping_add(j),
                    c_row: target.c_row as isize,
                    held: Held::sum_if(target.accumulate),
                };
                // SAFETY: as the caller promises; each width has as many rows as the widest.
                unsafe { width.tiles[target.rows - 1](&tile) };
            }
            j += panel;
        }
    }

    /// One block of the sums of one panel's columns, of a factor or of several.
    ///
    /// # Safety
    /// As [`Packed::multiply`].
    unsafe fn block(
        &self,
        panel: &Panel<'_, T>,
        parts: impl Iterator<Item = LeftFactor<T>> + Clone,
        target: &Target<T>,
        held: Held,
    ) {
        // SAFETY: as the caller promises; the stage has room for its rows of any panel.
        unsafe {
            if parts.clone().count() == 1 {
                for part in parts {
                    let (c, c_row) = (target.c.wrapping_add(panel.j), target.c_row);
                    self.part(panel, &part, (0..target.rows, panel.columns), (c, c_row), held);
                }
                return;
            }
            // A chain that goes from one factor to the next is kept apart until it is complete.
            let mut stage = Stage(MaybeUninit::uninit());
            let chains: *mut T = stage.0.as_mut_ptr().cast();
            for first in (0..target.rows).step_by(STAGE_ROWS) {
                let rows = first..target.rows.min(first + STAGE_ROWS);
                let mut begun = Held::Nothing;
                for part in parts.clone() {
                    self.part(panel, &part, (rows.clone(), panel.panel), (chains, panel.panel), begun);
                    begun = Held::Chain;
                }
                for (i, row) in rows.enumerate() {
                    let chain = std::slice::from_raw_parts(chains.add(i * panel.panel), panel.columns);
                    let c = target.c.add(row * target.c_row + panel.j);
                    let c = std::slice::from_raw_parts_mut(c, panel.columns);
                    if held == Held::Sum { (self.kernels.add_row)(c, chain) } else { c.copy_from_slice(chain) }
                }
            }
        }
    }

    /// The products of some rows of a factor with a panel, of which so many columns are wanted, to the place of the first row.
    ///
    /// # Safety
    /// As [`Packed::multiply`], for the place.
    unsafe fn part(
        &self,
        panel: &Panel<'_, T>,
        part: &LeftFactor<T>,
        (rows, columns): (Range<usize>, usize),
        (c, c_row): (*mut T, usize),
        held: Held,
    ) {
        let epilogue = GemmEpilogue::overwrite();
        let strides = (c_row as isize, 1);
        let output: Output<'_, T> =
            Output { kernels: self.kernels, c, strides, epilogue: &epilogue, held, finish: false };
        let a = part.a.wrapping_add(rows.start * part.a_row);
        let b = panel.first.wrapping_add(part.ks.start * panel.panel);
        let spans = [Span::new(a, b, part.ks.len())];
        let sweep =
            Sweep { tiles: panel.width.tiles, rows: 0..rows.len(), cut: Cut::Equal, j: 0, columns, panel: panel.panel };
        let tile = Tile {
            spans: &spans,
            a_offset: 0,
            a_row: part.a_row as isize,
            a_col: 1,
            b_row: panel.panel as isize,
            c: std::ptr::null_mut(),
            c_row: 0,
            held,
        };
        // SAFETY: as the caller promises.
        unsafe { output.sweep(&sweep, tile) };
    }
}
