//! The largest or smallest element so far, and where it is.

use super::Along;
use crate::operand::Output;
use crate::{check, team};

/// values\[i\] = the extremum of x\[0..=i\] along the middle axis of (outer, axis, inner), positions\[i\] where it is: the last of equal ones;
/// NaN wins.
///
/// # Panics
/// Where an array has another number of elements.
pub fn extrema<T: Copy + PartialOrd + Send + Sync>(
    values: &mut [T],
    positions: &mut [i64],
    x: &[T],
    along: Along,
    smallest: bool,
) {
    let Along { outer, axis, inner } = along;
    let elements = check::elements("scan", &[outer, axis, inner]);
    for found in [values.len(), positions.len(), x.len()] {
        check::length("scan", "an array", found, elements);
    }
    if x.is_empty() {
        return;
    }
    let (values, positions) = (Output::from_slice(values), Output::from_slice(positions));
    let width = inner.min(64);
    let blocks = inner.div_ceil(width);
    let task = |i: usize| {
        let (first, column) = (i / blocks * axis, i % blocks * width);
        let width = width.min(inner - column);
        let mut best: Vec<(T, i64)> = x[first * inner + column..][..width].iter().map(|&x| (x, 0)).collect();
        for row in 0..axis {
            let start = (first + row) * inner + column;
            // SAFETY: these columns are this task's own.
            let (values, positions) = unsafe { (values.part(start, width), positions.part(start, width)) };
            for (((value, position), &x), best) in values.iter_mut().zip(positions).zip(&x[start..]).zip(&mut best) {
                if replaces(x, best.0, smallest) {
                    *best = (x, row as i64);
                }
                (*value, *position) = *best;
            }
        }
    };
    if elements < 1 << 14 { (0..outer * blocks).for_each(task) } else { team::parallel(outer * blocks, task) }
}

/// Whether an element takes the place of the best so far.
#[inline(always)]
#[allow(clippy::eq_op)] // the test for NaN that integers have too
fn replaces<T: PartialOrd>(x: T, best: T, smallest: bool) -> bool {
    x != x || best == best && if smallest { x <= best } else { x >= best }
}
