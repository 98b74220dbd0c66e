//! One row of A by rows of B that are read where they lie, front to back: as fast as memory gives them.

use super::vector::Vector;

/// Rows of B that are read at once. With fewer, the sums are loaded and stored more often than that is worth.
const ROWS: usize = 8;

/// A row of A by `k` rows of B, whose columns are adjacent. Strides are in elements.
pub(crate) struct RowProduct<T> {
    pub(super) a: *const T,
    /// From a column (k) of A to the next.
    pub(super) a_col: isize,
    pub(super) b: *const T,
    /// From a row (k) of B to the next.
    pub(super) b_row: isize,
    pub(super) k: usize,
    /// Chains, which go on from what is there.
    pub(super) c: *mut T,
    /// Whole registers.
    pub(super) columns: usize,
}

/// `c[j] = c[j] + a[0]·b[0, j] + a[1]·b[1, j] + …`, in this order.
///
/// # Safety
/// The elements are readable, and those of c writable by nobody else; the columns are whole registers; the instruction set of `V` is
/// available.
#[inline(always)]
pub(super) unsafe fn row<V: Vector>(p: &RowProduct<V::Lane>) {
    let mut k = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while k + ROWS <= p.k {
            rows::<V, ROWS>(p, k);
            k += ROWS;
        }
        while k < p.k {
            rows::<V, 1>(p, k);
            k += 1;
        }
    }
}

/// `R` rows of B from row `k` on.
///
/// # Safety
/// As [`row`], for rows that there are.
#[inline(always)]
unsafe fn rows<V: Vector, const R: usize>(p: &RowProduct<V::Lane>, k: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut a = [V::zero(); R];
        let mut b = [p.b; R];
        for (i, (a, b)) in a.iter_mut().zip(&mut b).enumerate() {
            *a = V::splat(p.a.offset((k + i) as isize * p.a_col));
            *b = p.b.offset((k + i) as isize * p.b_row);
        }
        let mut j = 0;
        while j + 2 * V::LANES <= p.columns {
            let mut sums = [V::load(p.c.add(j)), V::load(p.c.add(j + V::LANES))];
            for (&a, b) in a.iter().zip(b) {
                sums[0] = sums[0].fma(a, V::load(b.add(j)));
                sums[1] = sums[1].fma(a, V::load(b.add(j + V::LANES)));
            }
            sums[0].store(p.c.add(j));
            sums[1].store(p.c.add(j + V::LANES));
            j += 2 * V::LANES;
        }
        while j < p.columns {
            let mut sum = V::load(p.c.add(j));
            for (&a, b) in a.iter().zip(b) {
                sum = sum.fma(a, V::load(b.add(j)));
            }
            sum.store(p.c.add(j));
            j += V::LANES;
        }
    }
}

/// Registers of sums that one row takes at once: with fewer, multiplications would wait for one another.
const SUMS: usize = 8;

/// How many packed panels of so many registers a row meets at once.
pub(super) const fn beside(vectors: usize) -> usize {
    SUMS / vectors
}

/// A row of A by [`beside`] packed panels.
pub(crate) struct RowByPanels<T> {
    /// Adjacent columns (k).
    pub(super) a: *const T,
    pub(super) k: usize,
    /// The first panel's row for the first column of A; rows of a panel are adjacent.
    pub(super) b: *const T,
    /// From a panel to the next.
    pub(super) panel: usize,
    /// Columns of all panels, adjacent.
    pub(super) c: *mut T,
    /// Whether the sums are added to what C holds.
    pub(super) accumulate: bool,
}

/// `C [+]= a·B` for `P` panels of `NV` registers.
///
/// # Safety
/// The elements are readable, and those of c writable by nobody else; the instruction set of `V` is available.
#[inline(always)]
pub(super) unsafe fn by_panels<V: Vector, const NV: usize, const P: usize>(p: &RowByPanels<V::Lane>) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[V::zero(); NV]; P];
        for k in 0..p.k {
            let a = V::splat(p.a.add(k));
            for (panel, sums) in sums.iter_mut().enumerate() {
                let b = p.b.add(panel * p.panel + k * NV * V::LANES);
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.fma(a, V::load(b.add(j * V::LANES)));
                }
            }
        }
        for (j, sum) in sums.as_flattened().iter().enumerate() {
            let c = p.c.add(j * V::LANES);
            let sum = if p.accumulate { V::load(c).add(*sum) } else { *sum };
            sum.store(c);
        }
    }
}
