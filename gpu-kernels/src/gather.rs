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
}
