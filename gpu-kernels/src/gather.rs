//! Elements by index along an axis.

use crate::place::{THREADS, checked, element};
use cuda_std::*;

kernels! {
    /// y (outer, index, inner) = x (outer, axis, inner) at `index` along the middle axis; an index outside of it is a fault.
    #[max_threads = THREADS]
    pub fn gather<T: DeviceCopy>(
        y: GlobalMut<T>, x: Global<T>, index: Global<i64>, axis: u64, inner: u64
    ) for [u8, u16, u32, u64] {
        let i = element();
        if i >= y.len() {
            return;
        }
        let (inner, axis) = (inner as usize, axis as usize);
        let (within, row) = (i % inner, i / inner);
        let (position, outer) = (row % index.len(), row / index.len());
        let from = checked(index.get(position), axis);
        y.set(i, x.get((outer * axis + from) * inner + within));
    }

    /// y (outer, indices, inner) = x (outer, axis, inner) at the index of each element along the middle axis; an index outside of it
    /// is a fault.
    #[max_threads = THREADS]
    pub fn gather_elements<T: DeviceCopy>(
        y: GlobalMut<T>, x: Global<T>, index: Global<i64>, axis: u64, indices: u64, inner: u64
    ) for [u8, u16, u32, u64] {
        let i = element();
        if i < y.len() {
            y.set(i, x.get(place(i, index.get(i), axis as usize, indices as usize, inner as usize)));
        }
    }

    /// The place in (outer, axis, inner) of each element of (outer, indices, inner), by its index along the middle axis.
    #[max_threads = THREADS]
    pub fn places(y: GlobalMut<i64>, index: Global<i64>, axis: u64, indices: u64, inner: u64) {
        let i = element();
        if i < y.len() {
            y.set(i, place(i, index.get(i), axis as usize, indices as usize, inner as usize) as i64);
        }
    }
}

/// Where element `i` of (outer, indices, inner) lies in (outer, axis, inner).
#[inline(always)]
fn place(i: usize, index: i64, axis: usize, indices: usize, inner: usize) -> usize {
    (i / (indices * inner) * axis + checked(index, axis)) * inner + i % inner
}
