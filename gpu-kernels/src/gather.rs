//! Elements by index along an axis, and their adjoint.

use crate::number::Sum;
use crate::place::{THREADS, element, refuse};
use cuda_std::*;

const OUTSIDE: &str = "an index is outside of its axis";

kernels! {
    /// y (outer, index, inner) = x (outer, axis, inner) at `index` along the middle axis; an index outside of it is a fault.
    #[max_threads = THREADS]
    pub fn gather<T: Element>(
        y: GlobalMut<T>, x: Global<T>, index: Global<i64>, axis: u64, inner: u64
    ) for [u8, u16, u32, u64] {
        let i = element();
        if i >= y.len() {
            return;
        }
        let (inner, axis) = (inner as usize, axis as usize);
        let (within, row) = (i % inner, i / inner);
        let (position, outer) = (row % index.len(), row / index.len());
        let from = index.get(position);
        if from < 0 || from >= axis as i64 {
            refuse(OUTSIDE);
        }
        y.set(i, x.get((outer * axis + from as usize) * inner + within));
    }

    /// y (outer, axis, inner) += x (outer, index, inner) at `index` along the middle axis. A thread adds up what falls on its
    /// element in ascending order of position, so the sum repeats bit for bit.
    #[max_threads = THREADS]
    pub fn scatter_add<T: Sum>(
        y: GlobalMut<T>, x: Global<T>, index: Global<i64>, axis: u64, inner: u64
    ) for [f32, f64, i64] {
        let i = element();
        if i >= y.len() {
            return;
        }
        let (inner, axis) = (inner as usize, axis as usize);
        let (within, row) = (i % inner, i / inner);
        let (own, outer) = (row % axis, row / axis);
        let mut sum = y.get(i);
        for position in 0..index.len() {
            let to = index.get(position);
            if to < 0 || to >= axis as i64 {
                refuse(OUTSIDE);
            }
            if to as usize == own {
                sum = sum.plus(x.get((outer * index.len() + position) * inner + within));
            }
        }
        y.set(i, sum);
    }
}
