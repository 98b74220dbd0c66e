//! Elements put, or added, to where an index along an axis says: what [`crate::gather`] is the adjoint of.
//!
//! The positions of the index are sorted by where they go, those of one place in their order: chunks of them, then pairs of sorted
//! runs are merged until one is left. What goes to one place is then combined in ascending order of position, so that a sum repeats
//! bit for bit.

use crate::number::Combined;
use crate::place::{THREADS, checked, element};
use cuda_std::*;

/// Sums.
pub const ADD: u32 = 0;
/// Products.
pub const MUL: u32 = 1;
/// The larger one; NaN wins.
pub const MAX: u32 = 2;
/// The smaller one; NaN wins.
pub const MIN: u32 = 3;

/// Positions that one block sorts.
pub const CHUNK: usize = THREADS as usize;

/// A chunk's places: a block for each.
#[cfg(not(target_arch = "nvptx64"))]
pub fn by_chunk(positions: usize) -> Geometry {
    Geometry::cover(positions, THREADS).with_shared((CHUNK * size_of::<i64>()) as u32)
}

/// Elements of a sorted run, from `first` to `end`, that are less than `place`, or as small where `equal` ones count too.
#[inline(always)]
fn before(places: Global<i64>, [first, end]: [usize; 2], place: i64, equal: bool) -> usize {
    let (mut low, mut high) = (first, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = places.get(middle);
        if found < place || (equal && found == place) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low - first
}

kernels! {
    /// Sorts each chunk of `index`: `places` are its elements, `positions` where they were. An index outside of its axis is a fault.
    #[max_threads = THREADS]
    pub fn sort_chunks(places: GlobalMut<i64>, positions: GlobalMut<i64>, index: Global<i64>, axis: u64) {
        let (i, own, start) = (element(), thread_idx_x() as usize, block_idx_x() as usize * CHUNK);
        let chunk = Shared::<i64>::at(0, CHUNK);
        let count = (index.len() - start).min(CHUNK);
        if i < index.len() {
            chunk.set(own, checked(index.get(i), axis as usize) as i64);
        }
        sync_threads();
        if i < index.len() {
            let place = chunk.get(own);
            let mut rank = 0;
            for other in 0..count {
                let found = chunk.get(other);
                rank += (found < place || (found == place && other < own)) as usize;
            }
            places.set(start + rank, place);
            positions.set(start + rank, i as i64);
        }
    }

    /// Merges pairs of sorted runs of `width`.
    #[max_threads = THREADS]
    pub fn merge_runs(
        places: GlobalMut<i64>, positions: GlobalMut<i64>, from_places: Global<i64>, from_positions: Global<i64>, width: u64
    ) {
        let (i, width, count) = (element(), width as usize, places.len());
        if i >= count {
            return;
        }
        let (pair, place) = (i / (2 * width) * (2 * width), from_places.get(i));
        let (middle, end) = ((pair + width).min(count), (pair + 2 * width).min(count));
        // Of equal places those of the first run come first.
        let (run, other, equal) = if i < middle { (pair, [middle, end], false) } else { (middle, [pair, middle], true) };
        let to = pair + (i - run) + before(from_places, other, place, equal);
        places.set(to, place);
        positions.set(to, from_positions.get(i));
    }

    /// y (outer, axis, inner) at the sorted places along the middle axis = what is there, combined with x (outer, index, inner) by
    /// [`ADD`] and its kin. The thread of the first element that goes to a place takes all of them, in their order.
    #[max_threads = THREADS]
    pub fn scatter<T: Combined>(
        y: GlobalMut<T>, x: Global<T>, places: Global<i64>, positions: Global<i64>, axis: u64, inner: u64, op: u32
    ) for [f32, f64, i64, i32, i8, u8] {
        let i = element();
        if i >= x.len() {
            return;
        }
        let Some(run) = Run::of(i, places, [axis as usize, inner as usize]) else { return };
        let mut value = y.get(run.to);
        let mut rank = run.rank;
        while rank < places.len() && places.get(rank) == run.place {
            let other = x.get(run.source(positions.get(rank)));
            value = match op {
                ADD => value.plus(other),
                MUL => value.times(other),
                MAX => value.larger(other),
                _ => value.smaller(other),
            };
            rank += 1;
        }
        y.set(run.to, value);
    }

    /// As [`scatter`], but the last element that goes to a place stays.
    #[max_threads = THREADS]
    pub fn scatter_last<T: DeviceCopy>(
        y: GlobalMut<T>, x: Global<T>, places: Global<i64>, positions: Global<i64>, axis: u64, inner: u64
    ) for [u8, u16, u32, u64] {
        let i = element();
        if i >= x.len() {
            return;
        }
        let Some(run) = Run::of(i, places, [axis as usize, inner as usize]) else { return };
        let mut rank = run.rank;
        while rank + 1 < places.len() && places.get(rank + 1) == run.place {
            rank += 1;
        }
        y.set(run.to, x.get(run.source(positions.get(rank))));
    }
}

/// What goes to one place: sorted positions from `rank` on.
struct Run {
    rank: usize,
    place: i64,
    /// The element of y.
    to: usize,
    /// Where the line of x begins, its positions' distance, and the place within.
    line: [usize; 3],
}

impl Run {
    /// The run that begins at element `i` of (outer, sorted index, inner), if one does.
    #[inline(always)]
    fn of(i: usize, places: Global<i64>, [axis, inner]: [usize; 2]) -> Option<Self> {
        let (within, row) = (i % inner, i / inner);
        let (rank, outer) = (row % places.len(), row / places.len());
        let place = places.get(rank);
        if rank > 0 && places.get(rank - 1) == place {
            return None;
        }
        let to = (outer * axis + place as usize) * inner + within;
        Some(Run { rank, place, to, line: [outer * places.len(), inner, within] })
    }

    /// The element of x at a position of the index.
    #[inline(always)]
    fn source(&self, position: i64) -> usize {
        let [line, inner, within] = self.line;
        (line + position as usize) * inner + within
    }
}
