//! Elements by index along an axis, what goes back to them, and the positions of what is true.

mod along;
mod nonzero;
mod scatter;

pub use along::{Along, Index, outside};
pub use nonzero::Nonzero;
pub use scatter::scatter;

use crate::operand::Output;
use crate::{check, team};
use along::{Lookup, PARALLEL, checked, tile};

/// out (outer, indices, inner) = x (outer, axis, inner) at `index`, all contiguous: out\[o, i, n\] = x\[o, index\[o, i, n\], n\].
///
/// # Panics
/// Where `out`, `x` or `index` has another number of elements than `along` says, or an index is outside of the axis.
pub fn gather<T: Copy + Send + Sync>(out: &mut [T], x: &[T], index: Index<'_>, along: Along) {
    along.check("gather", ["x", "out"], [x.len(), out.len()], &index);
    if out.is_empty() {
        return;
    }
    let to = Output::from_slice(out);
    match index.look("gather", along) {
        Lookup::Elements(index) if along.inner == 1 => lines(&to, x, along, &|o| &index[o * along.indices..]),
        Lookup::Rows(index) if along.inner == 1 => lines(&to, x, along, &|_| &index),
        Lookup::Rows(index) => rows(&to, x, &index, along),
        Lookup::Elements(index) => columns(&to, x, index, along),
    }
}

/// Calls `part(start, end)` for parts of `count` that have `width` elements each, on the team where that pays.
fn in_parts(count: usize, width: usize, part: impl Fn(usize, usize) + Sync) {
    if count * width < PARALLEL {
        return part(0, count);
    }
    let size = count.div_ceil(4 * team::threads()).max(1);
    team::parallel(count.div_ceil(size), |i| part(i * size, ((i + 1) * size).min(count)));
}

/// A gather along the last axis, line by line: `index(o)` begins with line o's.
fn lines<'i, T: Copy + Send + Sync>(
    to: &Output<'_, T>,
    x: &[T],
    Along { outer, axis, indices, .. }: Along,
    index: &(dyn Fn(usize) -> &'i [i64] + Sync),
) {
    in_parts(outer * indices, 1, |start, end| {
        let mut at = start;
        while at < end {
            let (line, first) = (at / indices, at % indices);
            let count = (indices - first).min(end - at);
            let from = &x[line * axis..(line + 1) * axis];
            // SAFETY: this part's own elements of the output, which has outer · indices.
            let to = unsafe { to.part(at, count) };
            for (to, &index) in to.iter_mut().zip(&index(line)[first..first + count]) {
                *to = from[checked("gather", index, axis)];
            }
            at += count;
        }
    });
}

/// A gather of whole rows of the last axes.
fn rows<T: Copy + Send + Sync>(to: &Output<'_, T>, x: &[T], index: &[i64], along: Along) {
    let Along { outer, axis, indices, inner } = along;
    in_parts(outer * indices, inner, |start, end| {
        for row in start..end {
            let from = (row / indices * axis + checked("gather", index[row % indices], axis)) * inner;
            // SAFETY: this row's own part of the output, which has outer · indices rows.
            let to = unsafe { to.part(row * inner, inner) };
            to.copy_from_slice(&x[from..from + inner]);
        }
    });
}

/// A gather of elements along an axis that is not the last: some columns at a time, so that those of x stay in the cache.
fn columns<T: Copy + Send + Sync>(to: &Output<'_, T>, x: &[T], index: &[i64], along: Along) {
    let Along { outer, axis, indices, inner } = along;
    let width = tile(axis, inner, size_of::<T>());
    let tiles = inner.div_ceil(width);
    // Few tiles are cut into parts of the indices too.
    let parts = if outer * tiles < 4 * team::threads() { 4.min(indices) } else { 1 };
    let piece = |task: usize| {
        let (part, rest) = (task % parts, task / parts);
        let (o, first) = (rest / tiles, rest % tiles * width);
        let count = width.min(inner - first);
        let from = &x[o * axis * inner..(o + 1) * axis * inner];
        for i in part * indices / parts..(part + 1) * indices / parts {
            let start = (o * indices + i) * inner + first;
            // SAFETY: this task's own part of a row of the output.
            let to = unsafe { to.part(start, count) };
            for (n, (to, &index)) in to.iter_mut().zip(&index[start..start + count]).enumerate() {
                *to = from[checked("gather", index, axis) * inner + first + n];
            }
        }
    };
    let tasks = outer * tiles * parts;
    if to.len() < PARALLEL { (0..tasks).for_each(piece) } else { team::parallel(tasks, piece) }
}

/// The elements of an array that are at least so many in all: what callers of the functions above check.
#[track_caller]
fn expect(function: &str, argument: &str, found: usize, sizes: [usize; 3]) {
    check::length(function, argument, found, check::elements(function, &sizes));
}
