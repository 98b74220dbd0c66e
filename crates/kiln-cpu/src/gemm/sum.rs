//! The operands of one run of k: where they are, and their packed copies.

use super::kernels::{GemmFloat, Kernels};
use super::output::Cut;
use super::scratch::ScratchBuffer;
use super::tile::Span;
use super::{MatrixElement, Product, pack};
use std::ops::Range;

/// The part of the sum that is multiplied at once: a range of k, cut where segments end. Addresses are those of the
/// block's first row and column.
pub(super) struct Sum<'a, T> {
    pub(super) spans: &'a [Span<T>],
    pub(super) k: usize,
    pub(super) a_strides: (isize, isize),
    pub(super) b_strides: (isize, isize),
}

/// The operands of some rows and one panel, as tiles see them.
pub(super) struct Strip<'a, T> {
    pub(super) spans: &'a [Span<T>],
    /// To the first row.
    pub(super) a_offset: isize,
    pub(super) a_strides: (isize, isize),
    /// How A's rows are dealt out to tiles.
    pub(super) cut: Cut,
    pub(super) b_row: isize,
}

/// Rows of A, packed.
pub(super) struct Slivers<T> {
    pub(super) first: *const T,
    /// Rows of a sliver.
    pub(super) rows: usize,
    /// From a sliver to the next.
    pub(super) step: usize,
}

/// Runs of columns and the width of their panels: all panels of full width at once, as their rows are adjacent. Only the last run's
/// panel may have fewer columns than its width.
pub(super) fn panel_runs<T>(
    kernels: &Kernels<T>,
    cols: Range<usize>,
) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
    let mut j = cols.start;
    std::iter::from_fn(move || {
        let left = cols.end.checked_sub(j).filter(|&left| left > 0)?;
        let panel = kernels.width(left).vectors * kernels.lanes;
        let run = if panel == kernels.panel() && panel <= left { left / panel * panel } else { panel.min(left) };
        j += run;
        Some((j - run..j, panel))
    })
}

impl<'s, T: GemmFloat> Sum<'s, T> {
    /// The spans of the range `ks` of k, from row `i` of A and column `j` of B on. The addresses are those of `E`s.
    ///
    /// # Safety
    /// The range lies within the sum.
    pub(super) unsafe fn cut<E: MatrixElement<Accumulator = T>, U: MatrixElement>(
        p: &Product<'_, E, U>,
        i: usize,
        j: usize,
        ks: Range<usize>,
        spans: &'s mut ScratchBuffer,
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
                unsafe { list.add(count).write(Span::new(a, b, k)) };
                count += 1;
            }
            start += s.k;
        }
        // SAFETY: `count` spans were written.
        let spans = unsafe { std::slice::from_raw_parts(list, count) };
        Sum { spans, k: ks.len(), a_strides: p.a_strides, b_strides: p.b_strides }
    }

    /// Packs rows of A, which are adjacent in memory, from row `top` on: slivers of a tile's rows.
    ///
    /// # Safety
    /// The rows are within A.
    pub(super) unsafe fn pack_a(
        &self,
        kernels: &Kernels<T>,
        top: usize,
        rows: usize,
        buffer: &mut ScratchBuffer,
    ) -> Slivers<T> {
        let sliver = kernels.rows().min(pack::PITCH);
        // A line between them, as otherwise their beginnings would map to the same cache sets.
        let step = self.k * pack::PITCH + 64 / size_of::<T>();
        let first: *mut T = buffer.room(rows.div_ceil(sliver) * step);
        let mut done = 0;
        for span in self.spans {
            // SAFETY: as the caller promises; the buffer has room. The spans are packed in their order.
            unsafe {
                let (src, dst) = (span.a.add(top), first.add(done * pack::PITCH));
                (kernels.pack_slivers)(src, self.a_strides.1, span.k, rows, sliver, dst, step);
            }
            done += span.k;
        }
        Slivers { first, rows: sliver, step }
    }

    /// Packs the columns `cols` of B, panel by panel: the panel that begins at column j lies at `(j - cols.start)·k`.
    ///
    /// # Safety
    /// The columns are within B; `cols` begins where a panel does.
    pub(super) unsafe fn pack_b(&self, kernels: &Kernels<T>, cols: Range<usize>, buffer: &mut ScratchBuffer) -> *mut T {
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
        for (columns, panel) in panel_runs(kernels, cols.clone()) {
            // SAFETY: as the caller promises; panels lie one after the other.
            unsafe {
                let dst = packed.add((columns.start - cols.start) * self.k);
                self.pack_panels(kernels, columns.start, columns.len(), panel, dst);
            }
        }
    }

    /// The spans that `f` makes of these, given the terms before each.
    pub(super) fn spans_from<'b>(
        &self,
        buffer: &'b mut ScratchBuffer,
        mut f: impl FnMut(&Span<T>, usize) -> Span<T>,
    ) -> &'b [Span<T>] {
        let list: *mut Span<T> = buffer.room(self.spans.len());
        let mut done = 0;
        for (n, span) in self.spans.iter().enumerate() {
            // SAFETY: as many spans as there is room for.
            unsafe { list.add(n).write(f(span, done)) };
            done += span.k;
        }
        // SAFETY: all were written.
        unsafe { std::slice::from_raw_parts(list, self.spans.len()) }
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

    /// The operands of the rows from `top` on and the panel at column `j`, each packed or where it lies. A is packed only
    /// where B is.
    ///
    /// # Safety
    /// `packed`, where B is, holds `k` rows of `panel` columns.
    pub(super) unsafe fn strip<'b>(
        &self,
        (top, j): (usize, usize),
        panel: usize,
        packed: (Option<&Slivers<T>>, Option<*const T>),
        buffer: &'b mut ScratchBuffer,
    ) -> Strip<'b, T> {
        let list: *mut Span<T> = buffer.room(self.spans.len());
        if let (Some(slivers), Some(b)) = packed {
            // Both go on from one span to the next.
            // SAFETY: one span, within the room: nothing is packed of no spans.
            let spans = unsafe {
                list.write(Span::new(slivers.first, b, self.k));
                std::slice::from_raw_parts(list, 1)
            };
            let cut = Cut::Slivers { rows: slivers.rows, step: slivers.step };
            return Strip { spans, a_offset: 0, a_strides: (1, pack::PITCH as isize), cut, b_row: panel as isize };
        }
        // SAFETY: as many spans are written as are returned, within the room.
        let spans = unsafe {
            let mut done = 0;
            for (n, s) in self.spans.iter().enumerate() {
                let b = match packed.1 {
                    Some(packed) => packed.add(done * panel),
                    None => s.b.wrapping_offset(j as isize * self.b_strides.1),
                };
                list.add(n).write(Span { b, ..*s });
                done += s.k;
            }
            std::slice::from_raw_parts(list, self.spans.len())
        };
        let b_row = if packed.1.is_some() { panel as isize } else { self.b_strides.0 };
        let a_offset = top as isize * self.a_strides.0;
        Strip { spans, a_offset, a_strides: self.a_strides, cut: Cut::Equal, b_row }
    }
}
