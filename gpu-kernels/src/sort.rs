//! Sorting rows, and binary search in sorted ones.
//!
//! Elements are compared by keys: unsigned integers in the elements' order, NaN last. Chunks of a row are sorted each by itself,
//! then pairs of sorted runs are merged until one is left. Equal keys stay in their order.

use crate::place::{THREADS, element};
use cuda_std::*;

/// Elements of a row that are sorted by counting: each thread counts what comes before its own.
pub const CHUNK: usize = THREADS as usize;

/// An element that is sorted by a key.
pub trait Keyed: DeviceCopy {
    /// The key's type.
    type Key: Key;
    /// The key: equal elements have equal ones, NaN the last.
    fn key(self) -> Self::Key;
}

/// An unsigned integer as a key.
pub trait Key: DeviceCopy + Ord {
    /// In the opposite order.
    fn reversed(self) -> Self;
}

macro_rules! keys {
    ($($K:ident),+) => { $(impl Key for $K {
        #[inline(always)]
        fn reversed(self) -> $K {
            !self
        }
    })+ };
}
keys!(u32, u64);

macro_rules! keyed {
    ($($T:ident as $K:ident, |$x:ident| $key:expr;)+) => { $(impl Keyed for $T {
        type Key = $K;
        #[inline(always)]
        fn key(self) -> $K {
            let $x = self;
            $key
        }
    })+ };
}
keyed! {
    f32 as u32, |x| if x.is_nan() {
        u32::MAX
    } else {
        // −0 + 0 is 0; the bits of negative numbers are turned around.
        let bits = (x + 0.0).to_bits();
        bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)
    };
    f64 as u64, |x| if x.is_nan() {
        u64::MAX
    } else {
        let bits = (x + 0.0).to_bits();
        bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
    };
    i64 as u64, |x| x as u64 ^ 1 << 63;
    i32 as u32, |x| x as u32 ^ 1 << 31;
    i8 as u32, |x| x as i32 as u32 ^ 1 << 31;
    u8 as u32, |x| x as u32;
}

/// Elements of a sorted run, from `first` to `end`, that are less than `key`, or as small where `equal` ones count too.
#[inline(always)]
fn before<K: Key>(get: impl Fn(usize) -> K, [first, end]: [usize; 2], key: K, equal: bool) -> usize {
    let (mut low, mut high) = (first, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = get(middle);
        if found < key || (equal && found == key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low - first
}

kernels! {
    /// The keys of x, in the opposite order where `descending` is not 0.
    #[max_threads = THREADS]
    pub fn sort_keys<T: Keyed>(keys: GlobalMut<T::Key>, x: Global<T>, descending: u32) for [f32, f64, i64, i32, i8, u8] {
        let i = element();
        if i < keys.len() {
            let key = x.get(i).key();
            keys.set(i, if descending != 0 { key.reversed() } else { key });
        }
    }

    /// Sorts each chunk of the rows of `width` keys; `positions` are where they were in the row.
    #[max_threads = THREADS]
    pub fn sort_row_chunks<K: Key>(
        keys: GlobalMut<K>, positions: GlobalMut<u32>, from: Global<K>, width: u64
    ) for [u32, u64] {
        let (i, width) = (element(), width as usize);
        if i >= keys.len() {
            return;
        }
        let (row, at) = (i / width * width, i % width);
        let start = at / CHUNK * CHUNK;
        let (key, mut rank) = (from.get(i), 0);
        for other in start..(start + CHUNK).min(width) {
            let found = from.get(row + other);
            rank += (found < key || (found == key && other < at)) as usize;
        }
        keys.set(row + start + rank, key);
        positions.set(row + start + rank, at as u32);
    }

    /// Merges pairs of sorted runs of `run` elements of each row.
    #[max_threads = THREADS]
    pub fn merge_row_runs<K: Key>(
        keys: GlobalMut<K>, positions: GlobalMut<u32>, from_keys: Global<K>, from_positions: Global<u32>, width: u64, run: u64
    ) for [u32, u64] {
        let (i, width, run) = (element(), width as usize, run as usize);
        if i >= keys.len() {
            return;
        }
        let (row, at) = (i / width * width, i % width);
        let pair = at / (2 * run) * (2 * run);
        let (middle, end) = ((pair + run).min(width), (pair + 2 * run).min(width));
        let key = from_keys.get(i);
        // Of equal keys those of the first run come first.
        let (start, other, equal) = if at < middle { (pair, [middle, end], false) } else { (middle, [pair, middle], true) };
        let to = row + pair + (at - start) + before(|j| from_keys.get(row + j), other, key, equal);
        keys.set(to, key);
        positions.set(to, from_positions.get(i));
    }

    /// The first `keep` elements of each sorted row, and where they were; of what has no elements, none.
    #[max_threads = THREADS]
    pub fn sorted_rows<T: DeviceCopy>(
        values: GlobalMut<T>, places: GlobalMut<i64>, x: Global<T>, positions: Global<u32>, width: u64, keep: u64, count: u64
    ) for [u8, u16, u32, u64] {
        let (i, width, keep) = (element(), width as usize, keep as usize);
        if i >= count as usize {
            return;
        }
        let row = i / keep * width;
        let position = positions.get(row + i % keep);
        if i < values.len() {
            values.set(i, x.get(row + position as usize));
        }
        if i < places.len() {
            places.set(i, position as i64);
        }
    }

    /// How many elements of a sorted row are less than each of x, or as large where `right` is not 0. There is one row of `width`
    /// elements, or one for every `count` elements of x.
    #[max_threads = THREADS]
    pub fn search<T: Keyed>(
        y: GlobalMut<i64>, sorted: Global<T>, x: Global<T>, width: u64, count: u64, right: u32
    ) for [f32, f64, i64, i32, i8, u8] {
        let (i, width) = (element(), width as usize);
        if i >= y.len() {
            return;
        }
        let row = if sorted.len() == width { 0 } else { i / count as usize * width };
        let found = before(|j| sorted.get(j).key(), [row, row + width], x.get(i).key(), right != 0);
        y.set(i, found as i64);
    }
}
