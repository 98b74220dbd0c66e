//! One row of A: by rows or columns of B that are read where they lie, front to back, as fast as memory gives them; and by packed panels,
//! several at once.

use super::pack::BLOCK;
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

/// A row of A by columns of B whose elements, along k, are adjacent. Strides are in elements.
pub(crate) struct RowByColumns<T> {
    pub(super) a: *const T,
    /// From a column (k) of A to the next.
    pub(super) a_col: isize,
    pub(super) b: *const T,
    /// From a column of B to the next.
    pub(super) b_col: isize,
    pub(super) k: usize,
    pub(super) c: *mut T,
    /// Whole registers.
    pub(super) columns: usize,
    /// Whether the sums are added to what C holds.
    pub(super) accumulate: bool,
}

/// `C [+]= a·B` with the sums of [`tile`](super::tile::tile). `block(p, stride)` gives [`BLOCK`] rows of a register's columns that begin
/// at `p`.
///
/// # Safety
/// The elements are readable, and those of c writable by nobody else; the columns are whole registers; the instruction set of `V` is
/// available.
#[inline(always)]
pub(super) unsafe fn by_columns<V: Sums>(
    p: &RowByColumns<V::Lane>,
    block: impl Fn(*const V::Lane, isize) -> [V; BLOCK] + Copy,
) where
    V::Lane: Default,
{
    let mut j = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while j + 2 * V::LANES <= p.columns {
            columns::<V, 2>(p, j, block);
            j += 2 * V::LANES;
        }
        if j < p.columns {
            columns::<V, 1>(p, j, block);
        }
    }
}

/// `R` registers of columns from column `j` on: with one, multiplications would wait for one another.
///
/// # Safety
/// As [`by_columns`], for columns that there are.
#[inline(always)]
unsafe fn columns<V: Sums, const R: usize>(
    p: &RowByColumns<V::Lane>,
    j: usize,
    block: impl Fn(*const V::Lane, isize) -> [V; BLOCK],
) where
    V::Lane: Default,
{
    // SAFETY: as the caller promises.
    unsafe {
        let b: [_; R] = std::array::from_fn(|r| p.b.offset((j + r * V::LANES) as isize * p.b_col));
        let c: [_; R] = std::array::from_fn(|r| p.c.add(j + r * V::LANES));
        let mut add = p.accumulate;
        let mut totals: [V; R] = std::array::from_fn(|r| if add { V::load(c[r]) } else { V::zero() });
        let mut start = 0;
        loop {
            let end = p.k.min(start + K_BLOCK);
            let mut sums = [V::zero(); R];
            let mut k = start;
            while k + BLOCK <= end {
                let a = p.a.offset(k as isize * p.a_col);
                for (sum, b) in sums.iter_mut().zip(&b) {
                    for (i, b) in block(b.add(k), p.b_col).into_iter().enumerate() {
                        *sum = sum.fma(V::splat(a.offset(i as isize * p.a_col)), b);
                    }
                }
                k += BLOCK;
            }
            for k in k..end {
                let a = V::splat(p.a.offset(k as isize * p.a_col));
                for (sum, b) in sums.iter_mut().zip(&b) {
                    *sum = sum.fma(a, across(b.add(k), p.b_col));
                }
            }
            for (total, sum) in totals.iter_mut().zip(sums) {
                *total = if add { total.add(sum) } else { sum };
            }
            (start, add) = (end, true);
            if end == p.k {
                break;
            }
        }
        for (total, c) in totals.into_iter().zip(c) {
            total.store(c);
        }
    }
}

/// A number of each of a register's columns.
///
/// # Safety
/// They are readable; the instruction set of `V` is available.
#[inline(always)]
unsafe fn across<V: Sums>(p: *const V::Lane, stride: isize) -> V
where
    V::Lane: Default,
{
    let mut numbers = [V::Lane::default(); MOST_LANES];
    for (j, number) in numbers[..V::LANES].iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        *number = unsafe { *p.offset(j as isize * stride) };
    }
    // SAFETY: no register has more lanes.
    unsafe { V::load(numbers.as_ptr()) }
}

/// The lanes of the widest register.
const MOST_LANES: usize = 16;

/// What [`by_columns`] takes of a register's columns, for any register.
///
/// # Safety
/// As [`across`], for [`BLOCK`] numbers of each column.
#[inline(always)]
pub(super) unsafe fn block_of_any<V: Sums>(p: *const V::Lane, stride: isize) -> [V; BLOCK]
where
    V::Lane: Default,
{
    // SAFETY: as the caller promises.
    std::array::from_fn(|i| unsafe { across(p.wrapping_add(i), stride) })
}

/// [`block_of_any`] of eight columns.
///
/// # Safety
/// The numbers are readable; AVX2 is available.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn block_of_8(p: *const f32, stride: isize) -> [std::arch::x86_64::__m256; BLOCK] {
    // SAFETY: as the caller promises.
    unsafe { super::pack::transposed_f32_avx2(p, stride) }
}

/// [`block_of_any`] of sixteen columns.
///
/// # Safety
/// The numbers are readable; AVX-512 is available.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn block_of_16(p: *const f32, stride: isize) -> [std::arch::x86_64::__m512; BLOCK] {
    use std::arch::x86_64::{_mm512_castps256_ps512, _mm512_insertf32x8};
    // SAFETY: as the caller promises.
    unsafe {
        let (low, high) = (block_of_8(p, stride), block_of_8(p.offset(8 * stride), stride));
        std::array::from_fn(|i| _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low[i]), high[i]))
    }
}

/// [`block_of_16`] of words.
///
/// # Safety
/// As there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn block_of_pairs(p: *const f32, stride: isize) -> [super::vector::Pairs; BLOCK] {
    // SAFETY: as the caller promises.
    unsafe { block_of_16(p, stride).map(super::vector::Pairs) }
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
