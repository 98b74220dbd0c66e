//! Sums of elements by index along an axis: what [`crate::gather`] is the adjoint of.
//!
//! The positions of the index are sorted by where they go, those of one place in their order: chunks of them, then pairs of sorted
//! runs are merged until one is left. What goes to one place is then added up in ascending order of position, so that a sum repeats
//! bit for bit.

use crate::number::Sum;
use crate::place::{THREADS, checked, element};
use cuda_std::*;

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

    /// y (outer, axis, inner) += x (outer, index, inner) at the sorted places along the middle axis. The thread of the first element
    /// that goes to a place adds up all of them.
    #[max_threads = THREADS]
    pub fn scatter_add<T: Sum>(
        y: GlobalMut<T>, x: Global<T>, places: Global<i64>, positions: Global<i64>, axis: u64, inner: u64
    ) for [f32, f64, i64, i32, i8, u8] {
        let (i, count) = (element(), places.len());
        if i >= x.len() {
            return;
        }
        let (inner, axis) = (inner as usize, axis as usize);
        let (within, row) = (i % inner, i / inner);
        let (mut rank, outer) = (row % count, row / count);
        let place = places.get(rank);
        if rank > 0 && places.get(rank - 1) == place {
            return;
        }
        let to = (outer * axis + place as usize) * inner + within;
        let mut sum = y.get(to);
        while rank < count && places.get(rank) == place {
            sum = sum.plus(x.get((outer * count + positions.get(rank) as usize) * inner + within));
            rank += 1;
        }
        y.set(to, sum);
    }
}
