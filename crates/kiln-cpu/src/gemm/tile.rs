//! The micro-kernel: one tile of C, its accumulators in registers through a block of k.

use super::vector::Sums;
use kiln_math::K_BLOCK;

/// A term of the sum: `k` columns of A times `k` rows of B.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<T> {
    /// A's element (0, 0) of this span.
    pub(crate) a: *const T,
    /// B's element (0, 0) of this span.
    pub(crate) b: *const T,
    /// The length of the span.
    pub(crate) k: usize,
    /// Whether a block ends with it, however long that is.
    pub(crate) ends: bool,
}

impl<T> Span<T> {
    /// A span whose blocks are as long as they may be.
    pub(crate) fn new(a: *const T, b: *const T, k: usize) -> Self {
        Span { a, b, k, ends: false }
    }
}

/// What C holds before a tile is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing of use: `C = Σ`.
    Nothing,
    /// A sum, that of the blocks before or one that is accumulated to: `C = C + Σ`.
    Sum,
    /// The chains of a block that is not complete: they go on from there.
    Chain,
}

impl Held {
    /// A sum if there is one, or nothing.
    pub(crate) fn sum_if(held: bool) -> Held {
        if held { Held::Sum } else { Held::Nothing }
    }
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
    /// What C holds.
    pub(crate) held: Held,
}

/// `C = [C +] Σ A·B` for one tile. The sum is cut after every [`K_BLOCK`] terms, and where a span says so: a block's chains start
/// from 0, and its result is added to C. So a sum that several calls share is cut where blocks end, or goes on as
/// [`Held::Chain`]. `finish` is given the whole sums while they are in registers.
///
/// # Safety
/// For every span, `MR × k` elements of A and `k × NV·LANES` of B are readable at the given strides; `MR × NV·LANES`
/// elements of C are readable and writable, by nobody else at this time; the instruction set of `V` is available.
#[inline(always)]
pub(crate) unsafe fn tile<V: Sums, const MR: usize, const NV: usize>(
    t: &Tile<'_, V::Lane>,
    finish: impl FnOnce(&mut [[V; NV]; MR]),
) {
    // SAFETY: all addresses are those that the caller vouches for.
    unsafe {
        let at = |i: usize, j: usize| t.c.offset(i as isize * t.c_row).add(j * V::LANES);
        let mut acc = [[V::zero(); NV]; MR];
        if t.held == Held::Chain {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, lane) in row.iter_mut().enumerate() {
                    *lane = V::load(at(i, j));
                }
            }
        }
        // Unknown to the compiler, which would else make each row's address of the one before: a chain as long as a narrow tile's
        // multiplications take.
        let three_rows = std::hint::black_box(3 * t.a_row);
        let mut add = t.held == Held::Sum;
        let mut spans = t.spans.iter();
        let mut rest = Span::new(std::ptr::null(), std::ptr::null(), 0);
        loop {
            let mut left = K_BLOCK;
            loop {
                if rest.k == 0 {
                    let Some(span) = spans.next() else { break };
                    rest = Span { a: span.a.wrapping_offset(t.a_offset), ..*span };
                }
                let count = rest.k.min(left);
                let (mut a, mut b) = (rest.a, rest.b);
                for _ in 0..count {
                    let mut columns = [V::zero(); NV];
                    for (j, column) in columns.iter_mut().enumerate() {
                        *column = V::load(b.add(j * V::LANES));
                    }
                    for (i, row) in acc.iter_mut().enumerate() {
                        let x = V::splat(a.offset((i / 3) as isize * three_rows + (i % 3) as isize * t.a_row));
                        for (lane, &column) in row.iter_mut().zip(&columns) {
                            *lane = lane.fma(x, column);
                        }
                    }
                    a = a.wrapping_offset(t.a_col);
                    b = b.wrapping_offset(t.b_row);
                }
                rest = Span { a, b, k: rest.k - count, ..rest };
                left -= count;
                if left == 0 || rest.k == 0 && rest.ends {
                    break;
                }
            }
            if add {
                for (i, row) in acc.iter_mut().enumerate() {
                    for (j, lane) in row.iter_mut().enumerate() {
                        *lane = V::load(at(i, j)).add(*lane);
                    }
                }
            }
            if rest.k == 0 && spans.as_slice().iter().all(|span| span.k == 0) {
                break;
            }
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, lane) in row.iter_mut().enumerate() {
                    lane.store(at(i, j));
                    *lane = V::zero();
                }
            }
            add = true;
        }
        finish(&mut acc);
        for (i, row) in acc.iter().enumerate() {
            for (j, lane) in row.iter().enumerate() {
                lane.store(at(i, j));
            }
        }
    }
}
