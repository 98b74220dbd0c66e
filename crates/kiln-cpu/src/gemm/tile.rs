//! The micro-kernel: one tile of C, its accumulators in registers from the first k to the last.

use super::vector::Vector;

/// A term of the sum: `k` columns of A times `k` rows of B.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<T> {
    /// A's element (0, 0) of this span.
    pub(crate) a: *const T,
    /// B's element (0, 0) of this span.
    pub(crate) b: *const T,
    /// The length of the span.
    pub(crate) k: usize,
}

/// One call of a micro-kernel: a tile of MR rows and NV registers of columns. Strides are in elements.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a, T> {
    /// The spans to sum over.
    pub(crate) spans: &'a [Span<T>],
    /// Added to every span's `a`: where the tile's first row is.
    pub(crate) a_offset: isize,
    /// From a row of A to the next.
    pub(crate) a_row: isize,
    /// From a column (k) of A to the next.
    pub(crate) a_col: isize,
    /// From a row (k) of B to the next; columns are adjacent.
    pub(crate) b_row: isize,
    /// The tile's corner in C; columns are adjacent.
    pub(crate) c: *mut T,
    /// From a row of C to the next.
    pub(crate) c_row: isize,
    /// Whether the chains start from what C holds, rather than from 0.
    pub(crate) accumulate: bool,
}

/// `C = [C +] Σ A·B` for one tile.
///
/// # Safety
/// For every span, `MR × k` elements of A and `k × NV·LANES` of B are readable at the given strides; `MR × NV·LANES`
/// elements of C are readable and writable, by nobody else at this time; the instruction set of `V` is available.
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const MR: usize, const NV: usize>(t: &Tile<'_, V::Number>) {
    // SAFETY: all addresses are those that the caller vouches for.
    unsafe {
        let mut acc = [[V::zero(); NV]; MR];
        if t.accumulate {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, lane) in row.iter_mut().enumerate() {
                    *lane = V::load(t.c.offset(i as isize * t.c_row).add(j * V::LANES));
                }
            }
        }
        for span in t.spans {
            let (mut a, mut b) = (span.a.wrapping_offset(t.a_offset), span.b);
            for _ in 0..span.k {
                let mut columns = [V::zero(); NV];
                for (j, column) in columns.iter_mut().enumerate() {
                    *column = V::load(b.add(j * V::LANES));
                }
                for (i, row) in acc.iter_mut().enumerate() {
                    let x = V::splat(a.offset(i as isize * t.a_row));
                    for (lane, &column) in row.iter_mut().zip(&columns) {
                        *lane = lane.fma(x, column);
                    }
                }
                a = a.wrapping_offset(t.a_col);
                b = b.wrapping_offset(t.b_row);
            }
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, lane) in row.iter().enumerate() {
                lane.store(t.c.offset(i as isize * t.c_row).add(j * V::LANES));
            }
        }
    }
}
