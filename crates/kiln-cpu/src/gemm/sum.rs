//! The operands of one run of k: where they are, and their packed copies.

use super::kernels::{Kernels, Number};
use super::scratch::Buffer;
use super::tile::Span;
use super::{Element, Product, pack};
use std::ops::Range;

/// The part of the sum that is multiplied at once: a range of k, cut where segments end. Addresses are those of the
/// block's first row and column.
pub(super) struct Sum<'a, T> {
    pub(super) spans: &'a [Span<T>],
    pub(super) k: usize,
    pub(super) a_strides: (isize, isize),
    pub(super) b_strides: (isize, isize),
}

/// The spans as one panel sees them, and its distance from row to row of B.
pub(super) struct Strip<'a, T> {
    pub(super) spans: &'a [Span<T>],
    pub(super) b_row: isize,
}

impl<'s, T: Number> Sum<'s, T> {
    /// The spans of the range `ks` of k, from row `i` of A and column `j` of B on. The addresses are those of `E`s.
    ///
    /// # Safety
    /// The range lies within the sum.
    pub(super) unsafe fn cut<E: Element<Number = T>, U: Element>(
        p: &Product<'_, E, U>,
        i: usize,
        j: usize,
        ks: Range<usize>,
        spans: &'s mut Buffer,
    ) -> Self {
        let list: *mut Span<T> = spans.room(p.segments.len());
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

    /// Packs the columns `cols` of B, panel by panel: the panel that begins at column j lies at `(j - cols.start)·k`.
    ///
    /// # Safety
    /// The columns are within B; `cols` begins where a panel does.
    pub(super) unsafe fn pack_b(&self, kernels: &Kernels<T>, cols: Range<usize>, buffer: &mut Buffer) -> *mut T {
        let packed: *mut T = buffer.room(cols.len().next_multiple_of(kernels.lanes) * self.k);
        // SAFETY: as the caller promises; the buffer has room.
        unsafe { self.pack_b_to(kernels, cols, packed) };
        packed
    }

    /// As [`Sum::pack_b`], to memory that is given.
    ///
    /// # Safety
    /// As [`Sum::pack_b`]; there is room for `k` rows of the columns, rounded up to LANES.
    pub(super) unsafe fn pack_b_to(&self, kernels: &Kernels<T>, cols: Range<usize>, packed: *mut T) {
        let mut j = cols.start;
        while j < cols.end {
            let width = kernels.width(cols.end - j);
            let panel = width.vectors * kernels.lanes;
            // All panels of full width at once: their rows are adjacent.
            let run = if panel == kernels.panel() { (cols.end - j) / panel * panel } else { panel };
            // SAFETY: as the caller promises; panels lie one after the other.
            unsafe {
                let dst = packed.add((j - cols.start) * self.k);
                self.pack_panels(kernels, j, run.min(cols.end - j), panel, dst);
            }
            j += run;
        }
    }

    /// Packs `cols` columns of B from `j` on into panels of `panel` columns.
    ///
    /// # Safety
    /// The columns are within B, and the destination has room.
    unsafe fn pack_panels(&self, kernels: &Kernels<T>, j: usize, cols: usize, panel: usize, packed: *mut T) {
        let (row, col) = self.b_strides;
        let mut done = 0;
        for span in self.spans {
            let src = span.b.wrapping_offset(j as isize * col);
            // SAFETY: as the caller promises.
            unsafe {
                let dst = packed.add(done * panel);
                if col == 1 {
                    (kernels.pack_rows)(src, row, span.k, cols, panel, dst, panel * self.k);
                } else {
                    for p in (0..cols).step_by(panel) {
                        let (src, dst) = (src.wrapping_offset(p as isize * col), dst.add(p * self.k));
                        let width = panel.min(cols - p);
                        if row == 1 {
                            (kernels.transpose)(src, col, span.k, (width, panel), dst, panel as isize);
                        } else {
                            pack::strided(src, (row, col), span.k, width, panel, dst);
                        }
                    }
                }
            }
            done += span.k;
        }
    }

    /// The spans for the panel at column `j`, of packed rows or of rows where they lie.
    ///
    /// # Safety
    /// `b_panel`, where B is packed, holds `k` rows of `panel` columns.
    pub(super) unsafe fn strip<'b>(
        &self,
        j: usize,
        panel: usize,
        b_panel: Option<*const T>,
        buffer: &'b mut Buffer,
    ) -> Strip<'b, T> {
        let list: *mut Span<T> = buffer.room(self.spans.len());
        // SAFETY: as many spans are written as are returned, within the room.
        unsafe {
            let mut done = 0;
            for (n, s) in self.spans.iter().enumerate() {
                let b = match b_panel {
                    Some(packed) => packed.add(done * panel),
                    None => s.b.wrapping_offset(j as isize * self.b_strides.1),
                };
                list.add(n).write(Span { b, ..*s });
                done += s.k;
            }
            let b_row = if b_panel.is_some() { panel as isize } else { self.b_strides.0 };
            Strip { spans: std::slice::from_raw_parts(list, self.spans.len()), b_row }
        }
    }
}
