//! Reductions of neighboring columns, side by side.

use super::{CHUNK, Centers, Fold, LANES, tree};
use crate::operand::{Number, Odometer};
use crate::{Isa, Kernel, Simd};
use std::marker::PhantomData;

/// Columns reduced together: the lanes of all of them stay in the L1 cache.
pub(super) const COLUMNS: usize = 64;

/// The lanes of a block of columns.
type ColumnLanes<T> = [[T; COLUMNS]; LANES];

/// `rows` rows of `count` ≤ COLUMNS numbers, `stride` apart, into the lanes of each column, from lane `lane` on.
struct Columns<'a, T, F> {
    first: *const T,
    stride: isize,
    rows: usize,
    lane: usize,
    count: usize,
    lanes: &'a mut ColumnLanes<T>,
    centers: &'a [T; COLUMNS],
    fold: PhantomData<F>,
}

impl<T: Number, F: Fold> Kernel for Columns<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        for i in 0..self.rows {
            let lane = &mut self.lanes[(self.lane + i) % LANES];
            // SAFETY: row i's `count` numbers can be read.
            let row = unsafe { std::slice::from_raw_parts(self.first.offset(i as isize * self.stride), self.count) };
            if let Some(row) = row.first_chunk::<COLUMNS>() {
                for ((lane, x), center) in lane.iter_mut().zip(row).zip(self.centers) {
                    *lane = T::leave::<S>(F::take(lane.enter::<S>(), x.enter::<S>(), center.enter::<S>()));
                }
            } else {
                for ((lane, x), center) in lane.iter_mut().zip(row).zip(self.centers) {
                    *lane = T::leave::<S>(F::take(lane.enter::<S>(), x.enter::<S>(), center.enter::<S>()));
                }
            }
        }
    }
}

/// Combines the lanes of all columns in halves; the result is in the first.
struct CombineColumns<'a, T, F>(&'a mut ColumnLanes<T>, PhantomData<F>);

impl<T: Number, F: Fold> Kernel for CombineColumns<'_, T, F> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let mut width = LANES / 2;
        while width > 0 {
            let (low, high) = self.0.split_at_mut(width);
            for (low, high) in low.iter_mut().zip(high) {
                for (a, b) in low.iter_mut().zip(high) {
                    *a = T::leave::<S>(F::combine(a.enter::<S>(), b.enter::<S>()));
                }
            }
            width /= 2;
        }
    }
}

/// `count` ≤ COLUMNS neighboring columns, each of `rows` numbers at the offsets of `reduced`, by the tree of the module.
pub(super) fn columns<T: Number, F: Fold>(
    isa: Isa,
    first: *const T,
    reduced: (&[usize], &[isize]),
    rows: usize,
    count: usize,
    centers: Centers<'_, T>,
) -> [T; COLUMNS] {
    let identity = T::from_f64(F::IDENTITY);
    let centers: [T; COLUMNS] =
        std::array::from_fn(|column| if column < count { centers.at(column) } else { identity });
    let mut odometer = Odometer::at(reduced.0, reduced.1, 0);
    let mut partial: Vec<[T; COLUMNS]> = Vec::new();
    let mut result = [identity; COLUMNS];
    for start in (0..rows.max(1)).step_by(CHUNK) {
        let mut lanes = [[identity; COLUMNS]; LANES];
        odometer.runs(CHUNK.min(rows - start), |lane, offset, stride, rows| {
            // SAFETY: the odometer stays within the operand.
            let first = unsafe { first.offset(offset) };
            let (lanes, centers) = (&mut lanes, &centers);
            isa.run(Columns::<_, F> { first, stride, rows, lane, count, lanes, centers, fold: PhantomData });
        });
        isa.run(CombineColumns::<_, F>(&mut lanes, PhantomData));
        result = lanes[0];
        if rows > CHUNK {
            partial.push(result);
        }
    }
    if rows > CHUNK {
        for (column, to) in result.iter_mut().enumerate().take(count) {
            *to = tree::<_, F>(isa, partial.iter().map(|p| p[column]).collect());
        }
    }
    result
}
