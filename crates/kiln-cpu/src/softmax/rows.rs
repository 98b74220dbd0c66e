//! Loops over rows of any width, in groups of lanes.

use crate::operand::{Number, Stored};
use crate::reduce::{LANES, Max, Sum, combine_lanes};
use crate::{Simd, team};
use kiln_math::Real;
use std::hint::black_box;

/// Rows of this many elements together are worth a second thread.
const PARALLEL: usize = 1 << 14;

/// Calls `f(rows)` for ranges that make up `rows` rows of `width`, on the team where that pays.
pub(super) fn by_rows(rows: usize, width: usize, f: impl Fn(std::ops::Range<usize>) + Sync) {
    if rows == 0 {
        return;
    }
    if rows * width < PARALLEL || team::threads() == 1 {
        return f(0..rows);
    }
    let size = rows.div_ceil(4 * team::threads()).max(1);
    team::parallel(rows.div_ceil(size), |i| f(i * size..((i + 1) * size).min(rows)));
}

/// Of half types, rows are converted as many at a time as have so many elements: operands and result stay in the L1 or L2 cache.
const TOGETHER: usize = 1 << 11;

/// As [`by_rows`], with ranges of elements and N rooms that are as long where elements are to be converted, else empty.
#[inline]
pub(super) fn by_numbers<E: Stored, const N: usize>(
    rows: usize,
    width: usize,
    f: impl Fn(std::ops::Range<usize>, [&mut [E::Compute]; N]) + Sync,
) {
    by_rows(rows, width, |rows| {
        if E::IN_PLACE {
            return f(rows.start * width..rows.end * width, std::array::from_fn(|_| [].as_mut_slice()));
        }
        // Narrow rows are worked on a group at a time.
        let group = if width <= LANES { LANES } else { 1 };
        let each = (TOGETHER / width.max(1)).max(1).next_multiple_of(group).min(rows.len());
        let mut rooms: [Vec<E::Compute>; N] = std::array::from_fn(|_| vec![E::Compute::default(); each * width]);
        for start in rows.clone().step_by(each) {
            let part = start * width..(start + each).min(rows.end) * width;
            let count = part.len();
            f(part, rooms.each_mut().map(|room| &mut room[..count]));
        }
    });
}

/// A row as groups of lanes.
struct Groups<'a, T> {
    whole: &'a [[T; LANES]],
    /// What is left, and padding.
    last: [T; LANES],
    count: usize,
}

impl<'a, T: Number> Groups<'a, T> {
    #[inline(always)]
    fn new(row: &'a [T], padding: T) -> Self {
        let (whole, rest) = row.as_chunks::<LANES>();
        let mut last = [padding; LANES];
        last[..rest.len()].copy_from_slice(rest);
        Groups { whole, last, count: whole.len() + usize::from(!rest.is_empty()) }
    }

    /// (A reference: what is chosen of two arrays by value does not become one load.)
    #[inline(always)]
    fn at(&self, number: usize) -> &[T; LANES] {
        self.whole.get(number).unwrap_or(&self.last)
    }
}

/// Writes the groups of a row, each made by `f` of its number.
#[inline(always)]
fn write_groups<T: Number>(row: &mut [T], mut f: impl FnMut(usize) -> [T; LANES]) {
    let (whole, rest) = row.as_chunks_mut::<LANES>();
    for number in 0..whole.len() + usize::from(!rest.is_empty()) {
        let group = f(number);
        match whole.get_mut(number) {
            Some(to) => *to = group,
            None => rest.copy_from_slice(&group[..rest.len()]),
        }
    }
}

// In the loops below each closure has one place where it is called: so it is inlined into the function that has the
// instruction set's features, where it becomes vector code. Called from two places it may stay a function without them. Lanes go
// through memory (`black_box`) before they are combined: else the compiler keeps them in the order of that, four by four, all along.

/// Writes f(a, b) over `to`.
#[inline(always)]
pub(super) fn write<S: Simd, T: Number>(to: &mut [T], [a, b]: [&[T]; 2], f: impl Fn(T::In<S>, T::In<S>) -> T::In<S>) {
    let (a, b) = (Groups::new(a, T::default()), Groups::new(b, T::default()));
    write_groups(to, |number| {
        let (x, y) = (a.at(number), b.at(number));
        let mut z = [T::default(); LANES];
        for i in 0..LANES {
            z[i] = T::leave::<S>(f(x[i].enter::<S>(), y[i].enter::<S>()));
        }
        z
    });
}

/// The row's maximum.
#[inline(always)]
fn maximum<S: Simd, T: Number>(row: &Groups<'_, T>) -> T::In<S> {
    let mut lanes = [T::from_f64(f64::NEG_INFINITY).enter::<S>(); LANES];
    for number in 0..row.count {
        let x = row.at(number);
        for i in 0..LANES {
            lanes[i] = lanes[i].maximum(x[i].enter::<S>());
        }
    }
    combine_lanes::<_, Max>(black_box(lanes))
}

/// The row's maximum m, and Σ exp(x − m).
#[inline(always)]
pub(super) fn statistics<S: Simd, T: Number>(row: &[T]) -> (T::In<S>, T::In<S>) {
    let row = Groups::new(row, T::from_f64(f64::NEG_INFINITY));
    let max = maximum::<S, T>(&row);
    let mut sums = [T::default().enter::<S>(); LANES];
    for number in 0..row.count {
        let x = row.at(number);
        for i in 0..LANES {
            sums[i] = sums[i] + (x[i].enter::<S>() - max).exp();
        }
    }
    (max, combine_lanes::<_, Sum>(black_box(sums)))
}

/// `to` = exp(x − m) / Σ exp(x − m), m the row's maximum, with the bits of [`statistics`] and [`write`], and each exponential computed
/// once.
#[inline(always)]
pub(super) fn normalized<S: Simd, T: Number>(to: &mut [T], row: &[T]) {
    let row = Groups::new(row, T::from_f64(f64::NEG_INFINITY));
    let max = maximum::<S, T>(&row);
    let mut sums = [T::default().enter::<S>(); LANES];
    write_groups(to, |number| {
        let x = row.at(number);
        let mut y = [T::default(); LANES];
        for i in 0..LANES {
            let e = (x[i].enter::<S>() - max).exp();
            sums[i] = sums[i] + e;
            y[i] = T::leave::<S>(e);
        }
        y
    });
    let sum = combine_lanes::<_, Sum>(black_box(sums));
    for y in to {
        *y = T::leave::<S>(y.enter::<S>() / sum);
    }
}

/// Σ f(a, b) over two rows, where f(0, 0) is 0.
#[inline(always)]
pub(super) fn total<S: Simd, T: Number>(a: &[T], b: &[T], f: impl Fn(T::In<S>, T::In<S>) -> T::In<S>) -> T::In<S> {
    let (a, b) = (Groups::new(a, T::default()), Groups::new(b, T::default()));
    let mut lanes = [T::default().enter::<S>(); LANES];
    for number in 0..a.count {
        let (x, y) = (a.at(number), b.at(number));
        for i in 0..LANES {
            lanes[i] = lanes[i] + f(x[i].enter::<S>(), y[i].enter::<S>());
        }
    }
    combine_lanes::<_, Sum>(black_box(lanes))
}
