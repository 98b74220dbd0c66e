//! Elements put, or added, to where an index says.

use super::along::{Along, Index, Lookup, PARALLEL, checked, tile};
use crate::operand::Output;
use crate::team;

/// out\[o, index\[o, i, n\], n\] = combine(that, y\[o, i, n\]) for out (outer, axis, inner), y (outer, indices, inner): what goes to one
/// place is combined in ascending order of i.
///
/// # Panics
/// As [`super::gather`], with `y` in the place of its output.
pub fn scatter<T: Copy + Send + Sync>(
    out: &mut [T],
    y: &[T],
    index: Index<'_>,
    along: Along,
    combine: impl Fn(T, T) -> T + Sync,
) {
    along.check("scatter", ["out", "y"], [out.len(), y.len()], &index);
    if y.is_empty() {
        return;
    }
    let to = Output::from_slice(out);
    match index.look("scatter", along) {
        Lookup::Rows(index) if along.inner == 1 => lines(&to, y, &|_| &index, along, combine),
        Lookup::Elements(index) if along.inner == 1 => {
            lines(&to, y, &|o| &index[o * along.indices..(o + 1) * along.indices], along, combine);
        }
        Lookup::Rows(index) => rows(&to, y, &index, along, combine),
        Lookup::Elements(index) => columns(&to, y, index, along, combine),
    }
}

/// Bytes of an output that are written at random at a time.
const RANGE: usize = 8 << 20;

/// Calls `task` for each of so many, on the team where `elements` are worth it.
fn each(tasks: usize, elements: usize, task: impl Fn(usize) + Sync) {
    if elements < PARALLEL { (0..tasks).for_each(task) } else { team::parallel(tasks, task) }
}

/// Along the last axis. Where there are fewer lines than threads, each thread goes through all of a line's indices and takes those
/// of its own range: so the order within a place stays.
fn lines<'i, T: Copy + Send + Sync>(
    to: &Output<'_, T>,
    y: &[T],
    index: &(dyn Fn(usize) -> &'i [i64] + Sync),
    Along { outer, axis, indices, .. }: Along,
    combine: impl Fn(T, T) -> T + Sync,
) {
    // More ranges than threads where the output is far larger than the caches: places are random, and indices are not.
    let pieces = (axis * size_of::<T>()).div_ceil(RANGE).min(4 * team::threads());
    let ranges = if y.len() < PARALLEL { 1 } else { team::threads().div_ceil(outer).max(pieces).min(axis).max(1) };
    each(outer * ranges, y.len(), |task| {
        let (o, range) = (task / ranges, task % ranges);
        let (low, high) = (range * axis / ranges, (range + 1) * axis / ranges);
        // SAFETY: this task's own part of the output, which has outer · axis elements.
        let to = unsafe { to.part(o * axis + low, high - low) };
        for (&index, &y) in index(o).iter().zip(&y[o * indices..(o + 1) * indices]) {
            let place = checked("scatter", index, axis).wrapping_sub(low);
            if let Some(to) = to.get_mut(place) {
                *to = combine(*to, y);
            }
        }
    });
}

/// Whole rows of the last axes; threads share the columns.
fn rows<T: Copy + Send + Sync>(
    to: &Output<'_, T>,
    y: &[T],
    index: &[i64],
    Along { outer, axis, indices, inner }: Along,
    combine: impl Fn(T, T) -> T + Sync,
) {
    let tiles = if y.len() < PARALLEL { 1 } else { team::threads().div_ceil(outer).min(inner.div_ceil(16)) };
    let width = inner.div_ceil(tiles);
    each(outer * tiles, y.len(), |task| {
        let (o, first) = (task / tiles, task % tiles * width);
        let count = width.min(inner.saturating_sub(first));
        for (i, &index) in index.iter().enumerate() {
            let from = (o * indices + i) * inner + first;
            let place = (o * axis + checked("scatter", index, axis)) * inner + first;
            // SAFETY: this task's own columns of a row of the output.
            let to = unsafe { to.part(place, count) };
            for (to, &y) in to.iter_mut().zip(&y[from..from + count]) {
                *to = combine(*to, y);
            }
        }
    });
}

/// Elements along an axis that is not the last: some columns at a time, so that those of the output stay in the cache.
fn columns<T: Copy + Send + Sync>(
    to: &Output<'_, T>,
    y: &[T],
    index: &[i64],
    Along { outer, axis, indices, inner }: Along,
    combine: impl Fn(T, T) -> T + Sync,
) {
    let width = tile(axis, inner, size_of::<T>()).min(inner.div_ceil(team::threads()).max(16));
    let tiles = inner.div_ceil(width);
    each(outer * tiles, y.len(), |task| {
        let (o, first) = (task / tiles, task % tiles * width);
        let count = width.min(inner - first);
        for i in 0..indices {
            let from = (o * indices + i) * inner + first;
            for (n, (&index, &y)) in index[from..from + count].iter().zip(&y[from..from + count]).enumerate() {
                let place = (o * axis + checked("scatter", index, axis)) * inner + first + n;
                // SAFETY: an element of this task's own columns of the output.
                let to = unsafe { to.part(place, 1) };
                to[0] = combine(to[0], y);
            }
        }
    });
}
