//! The loops around the micro-kernel.

use super::kernels::{Kernels, MAX_ROWS, MAX_WIDTH_BYTES, Number, TileFn};
use super::plan::{Facts, Plan};
use super::scratch::{self, Buffer, Scratch};
use super::tile::{Span, Tile};
use super::widen::widen;
use super::{Element, Product, Segment, pack};
use crate::team;
use std::ops::Range;

/// A product as the loops see it: C's columns adjacent where it can be had, the kernels chosen.
struct Drive<'a, T: Element, U: Element<Number = T::Number>> {
    p: Product<'a, T, U>,
    plan: Plan,
    kernels: &'static Kernels<T::Number>,
    /// The sum of the segments' k.
    k: usize,
}

/// # Safety
/// As [`super::gemm`].
pub(super) unsafe fn gemm<T: Element, U: Element<Number = T::Number>>(
    kernels: &'static Kernels<T::Number>,
    product: &Product<'_, T, U>,
) {
    if product.rows == 0 || product.cols == 0 {
        return;
    }
    // Rows of C adjacent: Cᵀ = Bᵀ·Aᵀ, the same chains.
    let flipped: Vec<Segment<T>>;
    let mut p = *product;
    if p.c_strides.1 != 1 && p.c_strides.0 == 1 {
        flipped = p.segments.iter().map(|s| Segment { a: s.b, b: s.a, k: s.k }).collect();
        let swap = |(row, col): (isize, isize)| (col, row);
        p = Product {
            rows: p.cols,
            cols: p.rows,
            segments: &flipped,
            a_strides: swap(p.b_strides),
            b_strides: swap(p.a_strides),
            c: p.c,
            c_strides: swap(p.c_strides),
            epilogue: p.epilogue.transposed(),
        };
    }
    let k = p.segments.iter().map(|s| s.k).sum();
    let facts = Facts { m: p.rows, n: p.cols, k, a_strides: p.a_strides, b_strides: p.b_strides, c_native: U::NATIVE };
    let plan = Plan::new(kernels, &facts);
    let drive = Drive { p, plan, kernels, k };
    let (by_rows, by_cols) = plan.grid;
    if by_rows * by_cols == 1 {
        // SAFETY: the whole of C, by this thread alone.
        return scratch::with(|s| unsafe { drive.block(0..p.rows, 0..p.cols, s) });
    }
    let panel = kernels.panel();
    let panels = p.cols.div_ceil(panel);
    team::parallel(by_rows * by_cols, |task| {
        let (i, j) = (task % by_rows, task / by_rows);
        let rows = i * p.rows / by_rows..(i + 1) * p.rows / by_rows;
        let cols = j * panels / by_cols * panel..((j + 1) * panels / by_cols * panel).min(p.cols);
        // SAFETY: the grid's blocks are disjoint.
        scratch::with(|s| unsafe { drive.block(rows, cols, s) });
    });
}

/// The part of the sum that is multiplied at once: a range of k, cut where segments end. Addresses are those of the
/// block's first row and column.
pub(super) struct Sum<'a, T> {
    pub(super) spans: &'a [Span<T>],
    pub(super) k: usize,
    pub(super) a_strides: (isize, isize),
    pub(super) b_strides: (isize, isize),
}

impl<T: Element, U: Element<Number = T::Number>> Drive<'_, T, U> {
    /// One block of C.
    ///
    /// # Safety
    /// Nobody else touches this block of C.
    unsafe fn block(&self, rows: Range<usize>, cols: Range<usize>, scratch: &mut Scratch) {
        let mut done = 0;
        loop {
            let k = self.plan.kc.min(self.k - done);
            let mut j = cols.start;
            while j < cols.end {
                let end = j.saturating_add(self.plan.nc).min(cols.end);
                // SAFETY: as the caller promises.
                unsafe { self.group(rows.clone(), j..end, done..done + k, scratch) };
                j = end;
            }
            done += k;
            if done == self.k {
                break;
            }
        }
    }

    /// The products of `rows` with a group of panels, `cols`, over the range `ks` of k.
    ///
    /// # Safety
    /// Nobody else touches this block of C.
    unsafe fn group(&self, rows: Range<usize>, cols: Range<usize>, ks: Range<usize>, scratch: &mut Scratch) {
        let Scratch { a: a_buffer, b: b_buffer, wide_a, wide_b, spans, wide_spans, panel_spans } = scratch;
        let (first, last) = (ks.start == 0, ks.end == self.k);
        // SAFETY: all of it within A, B and this block of C.
        unsafe {
            let mut sum = self.cut(rows.start, cols.start, ks, spans);
            if !T::NATIVE {
                sum = widen::<T>(&sum, rows.len(), cols.len(), (wide_a, wide_b), wide_spans);
            }
            let b_packed = self.plan.pack_b.then(|| self.pack_b(&sum, cols.len(), b_buffer));
            let step = balanced_part(rows.len(), self.plan.mc);
            for top in (0..rows.len()).step_by(step) {
                let height = step.min(rows.len() - top);
                let a_packed = self.plan.pack_a.then(|| self.pack_a(&sum, top, height, a_buffer));
                let mut j = 0;
                while j < cols.len() {
                    let width = self.kernels.width(cols.len() - j);
                    let panel = width.vectors * self.kernels.lanes;
                    let columns = panel.min(cols.len() - j);
                    // A panel that is not filled is packed in any case, for the zeros.
                    let b_panel = match b_packed {
                        Some(packed) => Some(packed.add(j * sum.k).cast_const()),
                        None if columns < panel => {
                            let packed = b_buffer.room(panel * sum.k);
                            self.pack_panels(&sum, j, columns, panel, packed);
                            Some(packed.cast_const())
                        }
                        None => None,
                    };
                    let (spans, b_row) = strip(&sum, j, panel, a_packed, b_panel, panel_spans);
                    let most = if a_packed.is_some() { self.kernels.rows() } else { width.tiles.len() };
                    for (i, mr) in tiles(height, most) {
                        let (a_offset, a_row, a_col) = match a_packed {
                            Some(_) => ((i * sum.k) as isize, 1, mr as isize),
                            None => ((top + i) as isize * sum.a_strides.0, sum.a_strides.0, sum.a_strides.1),
                        };
                        let (c, c_row) = (std::ptr::null_mut(), 0);
                        let accumulate = self.p.epilogue.accumulate || !first;
                        let tile = Tile { spans, a_offset, a_row, a_col, b_row, c, c_row, accumulate };
                        let place = Place { i: rows.start + top + i, j: cols.start + j, rows: mr, cols: columns };
                        self.tile(width.tiles[mr - 1], tile, &place, panel, last);
                    }
                    j += columns;
                }
            }
        }
    }

    /// Computes one tile and puts it into C.
    ///
    /// # Safety
    /// `run` computes `place.rows` × `panel`; `tile` is right but for C; nobody else touches this tile of C.
    #[inline]
    unsafe fn tile(
        &self,
        run: TileFn<T::Number>,
        mut tile: Tile<'_, T::Number>,
        place: &Place,
        panel: usize,
        last: bool,
    ) {
        let epilogue = &self.p.epilogue;
        let (row_stride, col_stride) = self.p.c_strides;
        let corner = self.p.c.wrapping_offset(place.i as isize * row_stride + place.j as isize * col_stride);
        let finish = last && !epilogue.is_plain();
        // SAFETY: the tile lies within C, or on this stack.
        unsafe {
            if U::NATIVE && col_stride == 1 && place.cols == panel {
                tile.c = corner.cast();
                tile.c_row = row_stride;
                run(&tile);
                if finish {
                    for i in 0..place.rows {
                        let row = corner.offset(i as isize * row_stride).cast();
                        let row = std::slice::from_raw_parts_mut(row, place.cols);
                        epilogue.finish(self.kernels, row, place.i + i, place.j);
                    }
                }
                return;
            }
            let mut stage = Stage([0_u8; MAX_ROWS * MAX_WIDTH_BYTES]);
            let c: *mut T::Number = stage.0.as_mut_ptr().cast();
            let at = |i: usize, j: usize| corner.offset(i as isize * row_stride + j as isize * col_stride);
            if tile.accumulate {
                for i in 0..place.rows {
                    for j in 0..place.cols {
                        *c.add(i * panel + j) = (*at(i, j)).to_number();
                    }
                }
            }
            tile.c = c;
            tile.c_row = panel as isize;
            run(&tile);
            for i in 0..place.rows {
                let row = std::slice::from_raw_parts_mut(c.add(i * panel), place.cols);
                if finish {
                    epilogue.finish(self.kernels, row, place.i + i, place.j);
                }
                if col_stride == 1 {
                    U::narrow(row, std::slice::from_raw_parts_mut(at(i, 0), place.cols));
                } else {
                    for (j, &x) in row.iter().enumerate() {
                        *at(i, j) = U::from_number(x);
                    }
                }
            }
        }
    }

    /// The spans of the range `ks` of k, from row `i` of A and column `j` of B on. The addresses are those of `T`s.
    ///
    /// # Safety
    /// The range lies within the sum.
    unsafe fn cut<'s>(&self, i: usize, j: usize, ks: Range<usize>, spans: &'s mut Buffer) -> Sum<'s, T::Number> {
        let p = &self.p;
        let list: *mut Span<T::Number> = spans.room(p.segments.len());
        let (mut count, mut start) = (0, 0);
        for s in p.segments {
            let (from, to) = (ks.start.max(start), ks.end.min(start + s.k));
            if from < to {
                let (skip, k) = ((from - start) as isize, to - from);
                let a = s.a.wrapping_offset(i as isize * p.a_strides.0 + skip * p.a_strides.1).cast();
                let b = s.b.wrapping_offset(skip * p.b_strides.0 + j as isize * p.b_strides.1).cast();
                // SAFETY: one span a segment at most.
                unsafe { list.add(count).write(Span { a, b, k }) };
                count += 1;
            }
            start += s.k;
        }
        // SAFETY: `count` spans were written.
        let spans = unsafe { std::slice::from_raw_parts(list, count) };
        Sum { spans, k: ks.len(), a_strides: p.a_strides, b_strides: p.b_strides }
    }

    /// Packs a group of panels of B, `cols` wide: the panel that begins at column j lies at `j·k`.
    ///
    /// # Safety
    /// The columns are within B.
    unsafe fn pack_b(&self, sum: &Sum<'_, T::Number>, cols: usize, buffer: &mut Buffer) -> *mut T::Number {
        let packed = buffer.room(cols.next_multiple_of(self.kernels.lanes) * sum.k);
        let panel = self.kernels.panel();
        let whole = cols - cols % panel;
        // SAFETY: as the caller promises; panels lie one after the other.
        unsafe {
            if whole > 0 {
                self.pack_panels(sum, 0, whole, panel, packed);
            }
            let mut j = whole;
            while j < cols {
                let panel = self.kernels.width(cols - j).vectors * self.kernels.lanes;
                self.pack_panels(sum, j, panel.min(cols - j), panel, packed.add(j * sum.k));
                j += panel;
            }
        }
        packed
    }

    /// Packs `cols` columns of B from `j` on into panels of `panel` columns.
    ///
    /// # Safety
    /// The columns are within B, and the destination has room.
    unsafe fn pack_panels(
        &self,
        sum: &Sum<'_, T::Number>,
        j: usize,
        cols: usize,
        panel: usize,
        packed: *mut T::Number,
    ) {
        let (row, col) = sum.b_strides;
        let mut done = 0;
        for span in sum.spans {
            let src = span.b.wrapping_offset(j as isize * col);
            // SAFETY: as the caller promises.
            unsafe {
                let dst = packed.add(done * panel);
                if col == 1 {
                    (self.kernels.pack_rows)(src, row, span.k, cols, panel, dst, panel * sum.k);
                } else {
                    for p in (0..cols).step_by(panel) {
                        let (src, dst) = (src.wrapping_offset(p as isize * col), dst.add(p * sum.k));
                        let width = panel.min(cols - p);
                        if row == 1 {
                            (self.kernels.pack_columns)(src, col, span.k, width, panel, dst);
                        } else {
                            pack::strided(src, (row, col), span.k, width, panel, dst);
                        }
                    }
                }
            }
            done += span.k;
        }
    }

    /// Packs `height` rows of A from `top` on, tile by tile: the tile that begins at row i lies at `i·k`.
    ///
    /// # Safety
    /// The rows are within A.
    unsafe fn pack_a(
        &self,
        sum: &Sum<'_, T::Number>,
        top: usize,
        height: usize,
        buffer: &mut Buffer,
    ) -> *const T::Number {
        let packed: *mut T::Number = buffer.room(height * sum.k);
        let (row, col) = sum.a_strides;
        for (i, mr) in tiles(height, self.kernels.rows()) {
            let mut done = 0;
            for span in sum.spans {
                let src = span.a.wrapping_offset((top + i) as isize * row);
                // SAFETY: as the caller promises. (A panel of A is one of its transpose, a B of `mr` columns.)
                unsafe { pack::strided(src, (col, row), span.k, mr, mr, packed.add(i * sum.k + done * mr)) };
                done += span.k;
            }
        }
        packed
    }
}

/// A tile's place in C.
struct Place {
    i: usize,
    j: usize,
    rows: usize,
    cols: usize,
}

/// A tile on the stack, for those that cannot be written to C directly.
#[repr(align(64))]
struct Stage([u8; MAX_ROWS * MAX_WIDTH_BYTES]);

/// The tiles of `rows` rows, as (first row, rows): as few as possible, as equal as possible.
fn tiles(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most).max(1);
    let (each, more) = (rows / count, rows % count);
    (0..count).map(move |t| (t * each + t.min(more), each + usize::from(t < more)))
}

/// The length of equal parts of at most `most`.
fn balanced_part(len: usize, most: usize) -> usize {
    len.div_ceil(len.div_ceil(most.min(len).max(1)).max(1)).max(1)
}

/// The spans as the panel at column `j` sees them, and its distance from row to row of B.
///
/// # Safety
/// `b_panel`, where it is packed, holds `sum.k` rows of `panel` columns.
unsafe fn strip<'s, T: Number>(
    sum: &Sum<'_, T>,
    j: usize,
    panel: usize,
    a_packed: Option<*const T>,
    b_panel: Option<*const T>,
    buffer: &'s mut Buffer,
) -> (&'s [Span<T>], isize) {
    let list: *mut Span<T> = buffer.room(sum.spans.len().max(1));
    // SAFETY: as many spans are written as are returned, within the room.
    unsafe {
        if let (Some(a), Some(b)) = (a_packed, b_panel) {
            list.write(Span { a, b, k: sum.k });
            return (std::slice::from_raw_parts(list, 1), panel as isize);
        }
        let mut done = 0;
        for (n, s) in sum.spans.iter().enumerate() {
            let b = match b_panel {
                Some(packed) => packed.add(done * panel),
                None => s.b.wrapping_offset(j as isize * sum.b_strides.1),
            };
            list.add(n).write(Span { b, ..*s });
            done += s.k;
        }
        let b_row = if b_panel.is_some() { panel as isize } else { sum.b_strides.0 };
        (std::slice::from_raw_parts(list, sum.spans.len()), b_row)
    }
}
