//! Reductions of neighboring columns, side by side.

use super::{CHUNK, Centers, Fold, LANES, tree};
use crate::operand::{Number, Odometer, Stored};
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
///
/// Of half types some rows at a time are converted, into memory that stays in the L1 cache.
pub(super) fn columns<E: Stored, F: Fold>(
    isa: Isa,
    first: *const E,
    reduced: (&[usize], &[isize]),
    rows: usize,
    count: usize,
    centers: Centers<'_, E::Compute>,
) -> [E::Compute; COLUMNS] {
    let identity = E::Compute::from_f64(F::IDENTITY);
    let mut room = [[E::Compute::default(); COLUMNS]; LANES];
    let centers: [E::Compute; COLUMNS] =
        std::array::from_fn(|column| if column < count { centers.at(column) } else { identity });
    let mut odometer = Odometer::at(reduced.0, reduced.1, 0);
    let mut partial: Vec<[E::Compute; COLUMNS]> = Vec::new();
    let mut result = [identity; COLUMNS];
    for start in (0..rows.max(1)).step_by(CHUNK) {
        let mut lanes = [[identity; COLUMNS]; LANES];
        odometer.runs(CHUNK.min(rows - start), |lane, offset, stride, rows| {
            // SAFETY: the odometer stays within the operand.
            let first = unsafe { first.offset(offset) };
            let (lanes, centers, fold) = (&mut lanes, &centers, PhantomData);
            if E::IN_PLACE {
                // IN_PLACE says that the elements are of the compute type.
                isa.run(Columns::<_, F> { first: first.cast(), stride, rows, lane, count, lanes, centers, fold });
                return;
            }
            for done in (0..rows).step_by(LANES) {
                let together = LANES.min(rows - done);
                for (row, to) in room.iter_mut().enumerate().take(together) {
                    // SAFETY: the row's `count` elements can be read.
                    let row =
                        unsafe { std::slice::from_raw_parts(first.offset((done + row) as isize * stride), count) };
                    E::load_all(row, to);
                }
                let (first, stride, lane) = (room.as_flattened().as_ptr(), COLUMNS as isize, lane + done);
                let (lanes, rows) = (&mut *lanes, together);
                isa.run(Columns::<_, F> { first, stride, rows, lane, count, lanes, centers, fold });
            }
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
