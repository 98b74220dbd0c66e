//! Where elements belong in sorted rows.

use super::key::Sortable;
use crate::check;
use crate::elementwise::in_chunks;
use crate::operand::Output;

/// Which of the places is meant where an element is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Before the equal elements.
    Left,
    /// After them.
    Right,
}

/// out = how many elements of the sorted row come before each element of x, equal ones too where the side is right. `sorted` is one row
/// of `width` elements for all of x, or as many rows as x has, of `count` elements each.
///
/// # Panics
/// Where lengths do not fit.
pub fn search<T: Sortable>(out: &mut [i64], sorted: &[T], width: usize, x: &[T], count: usize, side: Side) {
    check::length("search", "out", out.len(), x.len());
    let shared = sorted.len() == width;
    if !shared {
        let rows = check::rows("search", "sorted", sorted.len(), width);
        check::length("search", "x", x.len(), rows * count);
    }
    let out = Output::from_slice(out);
    in_chunks(out.len(), |start, length| {
        // SAFETY: this chunk's own part.
        let to = unsafe { out.part(start, length) };
        for (i, to) in (start..).zip(to) {
            let first = if shared { 0 } else { i / count * width };
            let (row, key) = (&sorted[first..first + width], x[i].key());
            let before = match side {
                Side::Left => row.partition_point(|x| x.key() < key),
                Side::Right => row.partition_point(|x| x.key() <= key),
            };
            *to = before as i64;
        }
    });
}
