//! Rows of at most as many elements as there are lanes: a row to a lane.

use crate::Simd;
use crate::operand::Number;
use crate::reduce::LANES;
use kiln_math::Real;

/// Columns of up to LANES rows of up to LANES elements: element (row, column) is `[column][row]`.
///
/// Narrow rows (the ten classes of a digit) are worked on LANES rows at a time, a row to a lane, by the same tree.
pub(super) type Narrow<R> = [[R; LANES]; LANES];

/// Rows of `width` ≤ LANES elements, transposed.
#[inline(always)]
pub(super) fn transposed<S: Simd, T: Number>(rows: &[T], width: usize) -> Narrow<T::In<S>> {
    let mut columns = [[T::default().enter::<S>(); LANES]; LANES];
    for (r, row) in rows.chunks_exact(width).enumerate().take(LANES) {
        for (column, &x) in columns.iter_mut().zip(row) {
            column[r] = x.enter::<S>();
        }
    }
    columns
}

/// The way back.
#[inline(always)]
pub(super) fn put_transposed<S: Simd, T: Number>(rows: &mut [T], columns: &Narrow<T::In<S>>, width: usize) {
    for (r, row) in rows.chunks_exact_mut(width).enumerate().take(LANES) {
        for (to, column) in row.iter_mut().zip(columns) {
            *to = T::leave::<S>(column[r]);
        }
    }
}

/// Combines the first `width` columns in halves, as [`combine_lanes`] does with identities in the place of the others.
#[inline(always)]
pub(super) fn combine_columns<R: Real>(
    mut columns: Narrow<R>,
    width: usize,
    combine: impl Fn(R, R) -> R,
) -> [R; LANES] {
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = columns.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high).take(width.saturating_sub(half)) {
            for r in 0..LANES {
                low[r] = combine(low[r], high[r]);
            }
        }
        half /= 2;
    }
    columns[0]
}

/// Of each row the maximum m and Σ exp(x − m); the elements become exp(x − m).
#[inline(always)]
pub(super) fn narrow_statistics<R: Real>(columns: &mut Narrow<R>, width: usize) -> ([R; LANES], [R; LANES]) {
    let max = combine_columns(*columns, width, |a, b| a.maximum(b));
    for column in columns.iter_mut().take(width) {
        for r in 0..LANES {
            column[r] = (column[r] - max[r]).exp();
        }
    }
    (max, combine_columns(*columns, width, |a, b| a + b))
}

/// A loop over an array, since `map` is not vectorized.
#[inline(always)]
pub(super) fn logarithms<R: Real>(mut x: [R; LANES]) -> [R; LANES] {
    for x in &mut x {
        *x = x.ln();
    }
    x
}
