//! Numbers in groups of lanes.

use crate::Simd;
use crate::operand::Number;
use crate::reduce::LANES;
use kiln_math::Real;

// Loops, not `array::from_fn`, whose closure may stay a function without the instruction set's features.

/// The same place in each of several arrays of lanes.
#[inline(always)]
pub(super) fn lane<R: Real, const N: usize>(groups: &[[R; LANES]; N], l: usize) -> [R; N] {
    let mut numbers = [R::constant(0.0); N];
    for n in 0..N {
        numbers[n] = groups[n][l];
    }
    numbers
}

/// The numbers `at..at + LANES` of a row; past its end are `padding`s.
#[inline(always)]
pub(super) fn group<S: Simd, T: Number>(row: &[T], at: usize, padding: T) -> [T::In<S>; LANES] {
    match row[at..].first_chunk::<LANES>() {
        Some(group) => group.map(T::enter::<S>),
        None => {
            let mut last = [padding; LANES];
            last[..row.len() - at].copy_from_slice(&row[at..]);
            last.map(T::enter::<S>)
        }
    }
}

/// Writes a group to a row from `at` on, as much of it as the row has room for.
#[inline(always)]
pub(super) fn put<S: Simd, T: Number>(row: &mut [T], at: usize, group: [T::In<S>; LANES]) {
    let values = group.map(T::leave::<S>);
    match row[at..].first_chunk_mut::<LANES>() {
        Some(to) => *to = values,
        None => {
            let room = row.len() - at;
            row[at..].copy_from_slice(&values[..room]);
        }
    }
}

/// A group of lanes, zeros where there is no row.
#[inline(always)]
pub(super) fn group_or_zero<S: Simd, T: Number>(row: &[T], at: usize) -> [T::In<S>; LANES] {
    let zero = T::default();
    if row.is_empty() { [zero.enter::<S>(); LANES] } else { group::<S, T>(row, at, zero) }
}

/// A group of lanes from each of several rows.
#[inline(always)]
pub(super) fn groups<S: Simd, T: Number, const N: usize>(
    rows: &[impl AsRef<[T]>; N],
    at: usize,
) -> [[T::In<S>; LANES]; N] {
    let mut groups = [[T::default().enter::<S>(); LANES]; N];
    for n in 0..N {
        groups[n] = group::<S, T>(rows[n].as_ref(), at, T::default());
    }
    groups
}

/// to = f(to, a, b), number by number.
#[inline(always)]
pub(super) fn combine<S: Simd, T: Number>(
    to: &mut [T],
    [a, b]: [&[T]; 2],
    f: impl Fn(T::In<S>, T::In<S>, T::In<S>) -> T::In<S>,
) {
    let zero = T::default();
    for at in (0..to.len()).step_by(LANES) {
        let mut x = group::<S, T>(to, at, zero);
        let (a, b) = (group::<S, T>(a, at, zero), group::<S, T>(b, at, zero));
        for l in 0..LANES {
            x[l] = f(x[l], a[l], b[l]);
        }
        put::<S, T>(to, at, x);
    }
}
