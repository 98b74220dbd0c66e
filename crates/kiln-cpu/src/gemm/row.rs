//! One row of A: by rows of B that are read where they lie, front to back, as fast as memory gives them; and by packed panels, several at
//! once.

use super::vector::Sums;
use kiln_math::K_BLOCK;

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
pub(super) unsafe fn row<V: Sums>(p: &RowProduct<V::Lane>) {
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
unsafe fn rows<V: Sums, const R: usize>(p: &RowProduct<V::Lane>, k: usize) {
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
pub(crate) const fn beside(vectors: usize) -> usize {
    SUMS / vectors
}

/// A row of A by [`beside`] packed panels.
pub(crate) struct RowByPanels<T> {
    /// Adjacent columns (k).
    pub(crate) a: *const T,
    pub(crate) k: usize,
    /// The first panel's row for the first column of A; rows of a panel are adjacent.
    pub(crate) b: *const T,
    /// From a panel to the next.
    pub(crate) panel: usize,
    /// Columns of all panels, adjacent.
    pub(crate) c: *mut T,
    /// Whether the sums are added to what C holds.
    pub(crate) accumulate: bool,
}

/// `C [+]= a·B` for `P` panels of `NV` registers, with the sums of [`tile`](super::tile::tile). `finish` is given each panel's whole sums,
/// with the panel's number, while they are in registers.
///
/// # Safety
/// The elements are readable, and those of c writable by nobody else; the instruction set of `V` is available.
#[inline(always)]
pub(crate) unsafe fn by_panels<V: Sums, const NV: usize, const P: usize>(
    p: &RowByPanels<V::Lane>,
    finish: impl Fn(usize, &mut [[V; NV]; 1]),
) {
    let (mut start, mut add) = (0, p.accumulate);
    loop {
        let end = p.k.min(start + K_BLOCK);
        // SAFETY: as the caller promises.
        unsafe {
            let mut sums = [[V::zero(); NV]; P];
            for k in start..end {
                let a = V::splat(p.a.add(k));
                for (panel, sums) in sums.iter_mut().enumerate() {
                    let b = p.b.add(panel * p.panel + k * NV * V::LANES);
                    for (j, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.fma(a, V::load(b.add(j * V::LANES)));
                    }
                }
            }
            for (panel, sums) in sums.into_iter().enumerate() {
                let c = p.c.add(panel * NV * V::LANES);
                let mut sums = [sums];
                if add {
                    for (j, sum) in sums[0].iter_mut().enumerate() {
                        *sum = V::load(c.add(j * V::LANES)).add(*sum);
                    }
                }
                if end == p.k {
                    finish(panel, &mut sums);
                }
                for (j, sum) in sums[0].iter().enumerate() {
                    sum.store(c.add(j * V::LANES));
                }
            }
        }
        if end == p.k {
            return;
        }
        (start, add) = (end, true);
    }
}
