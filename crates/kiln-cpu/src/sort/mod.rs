//! Sorting, order statistics and binary search along rows.
//!
//! Elements are compared by keys: unsigned integers in the elements' order, NaN last ([`Sortable`]). Sorting is a radix sort of keys with
//! positions, or of keys alone where only values are wanted; it is stable, so that the result is the same for any number of threads.

mod buckets;
mod key;
#[cfg(target_arch = "x86_64")]
mod quick;
mod radix;
mod search;
mod select;

pub use key::{Key, Sortable};
pub use radix::Pair;
pub use search::{Side, search};
pub use select::{kth, top};

use crate::operand::Output;
use crate::{Isa, check, team};
use radix::SHARED;

/// The most elements of a row: positions are kept in 32 bits while they are sorted.
pub const MAX_ROW: usize = u32::MAX as usize;

/// Rows that are sorted one after the other by one thread: so many tasks there are, each with room for two rows.
fn tasks(rows: usize, width: usize) -> usize {
    if is_shared(rows, width) { 1 } else { rows.min(4 * team::threads()) }
}

/// Whether the threads share each row, rather than the rows.
fn is_shared(rows: usize, width: usize) -> bool {
    rows < team::threads() && width >= SHARED
}

/// The items that [`sort`] and [`sort_values`] need room for.
pub fn room(rows: usize, width: usize) -> usize {
    tasks(rows, width) * 2 * width
}

/// Calls `f(row, room of two rows)` for every row, on the team where that pays.
fn each_row<I: Copy + Send + Sync>(
    rows: usize,
    width: usize,
    room: &mut [I],
    f: impl Fn(usize, &mut [I], &mut [I]) + Sync,
) {
    let tasks = tasks(rows, width);
    assert!(room.len() >= tasks * 2 * width, "room for {} items, {} are needed", room.len(), tasks * 2 * width);
    let room = Output::from_slice(room);
    let task = |task: usize| {
        // SAFETY: this task's own room.
        let (items, spare) = unsafe { room.part(task * 2 * width, 2 * width) }.split_at_mut(width);
        for row in task * rows / tasks..(task + 1) * rows / tasks {
            f(row, items, spare);
        }
    };
    if rows * width < 1 << 13 { (0..tasks).for_each(task) } else { team::parallel(tasks, task) }
}

/// Fills a slice from the elements of another, on the team where it is long.
fn fill<A: Copy + Sync, B: Copy + Send + Sync>(to: &mut [B], from: &[A], f: impl Fn(usize, A) -> B + Sync) {
    let (to, count) = (Output::from_slice(to), from.len());
    crate::elementwise::in_chunks(count, |start, length| {
        // SAFETY: this chunk's own part.
        let to = unsafe { to.part(start, length) };
        for (i, (to, &from)) in to.iter_mut().zip(&from[start..start + length]).enumerate() {
            *to = f(start + i, from);
        }
    });
}

/// out = the rows of `width` elements of x, each sorted. `room` has [`room`] items.
///
/// # Panics
/// `out` has another length than x, the length is not a multiple of the width, or the scratch memory is too small.
pub fn sort_values<T: Sortable>(isa: Isa, out: &mut [T], x: &[T], width: usize, descending: bool, room: &mut [T::Key]) {
    let rows = check::rows("sort", "x", x.len(), width);
    check::length("sort", "out", out.len(), x.len());
    let out = Output::from_slice(out);
    each_row(rows, width, room, |row, items, spare| {
        let x = &x[row * width..(row + 1) * width];
        // SAFETY: this row's own part.
        let out = unsafe { out.part(row * width, width) };
        if descending {
            sort_row(
                isa,
                out,
                x,
                (|x: T| x.exact_key().reversed(), |key: T::Key| T::of_key(key.reversed())),
                items,
                spare,
            );
        } else {
            sort_row(isa, out, x, (T::exact_key, T::of_key), items, spare);
        }
    });
}

/// out = the elements of x sorted by `key`, of which `element` makes them again.
fn sort_row<T: Sortable>(
    isa: Isa,
    out: &mut [T],
    x: &[T],
    (key, element): (impl Fn(T) -> T::Key + Copy + Sync, impl Fn(T::Key) -> T + Copy + Sync),
    items: &mut [T::Key],
    spare: &mut [T::Key],
) {
    let long = x.len() >= 8 * SHARED && x.len() <= MAX_ROW && team::threads() > 1;
    if long && buckets::sort_row(isa, out, x, (key, element), items, spare) {
        return;
    }
    fill(items, x, |_, x| key(x));
    fill(out, T::Key::sorted(isa, items, spare), |_, key| element(key));
}

/// The rows of `width` elements of x, each sorted, equal ones in their order: `values` and where they were, `positions`; an absent
/// one is not written. `room` has [`room`] items.
///
/// # Panics
/// As [`sort_values`]; rows of more than [`MAX_ROW`] elements.
pub fn sort<T: Sortable>(
    values: Option<&mut [T]>,
    positions: Option<&mut [i64]>,
    x: &[T],
    width: usize,
    descending: bool,
    room: &mut [Pair<T::Key>],
) {
    let rows = check::rows("sort", "x", x.len(), width);
    assert!(width <= MAX_ROW, "rows of {width} elements, at most {MAX_ROW} can be sorted");
    let values = values.map(Output::from_slice);
    let positions = positions.map(Output::from_slice);
    for found in [values.as_ref().map(Output::len), positions.as_ref().map(Output::len)].into_iter().flatten() {
        check::length("sort", "an output", found, x.len());
    }
    each_row(rows, width, room, |row, items, spare| {
        let x = &x[row * width..(row + 1) * width];
        let key = |x: T| if descending { x.key().reversed() } else { x.key() };
        fill(items, x, |at, x| Pair { key: key(x), at: at as u32 });
        let sorted = radix::sort(items, spare);
        if let Some(values) = &values {
            // SAFETY: this row's own part.
            fill(unsafe { values.part(row * width, width) }, sorted, |_, pair| x[pair.at as usize]);
        }
        if let Some(positions) = &positions {
            // SAFETY: as above.
            fill(unsafe { positions.part(row * width, width) }, sorted, |_, pair| i64::from(pair.at));
        }
    });
}
