//! Elements by index along an axis, and their adjoint.

use crate::place::{THREADS, element, refuse};
use cuda_std::*;

const OUTSIDE: &str = "an index is outside of its axis";

macro_rules! gathers {
    ($($T:ident $name:ident;)+) => { $(
        kernel! {
            /// y (outer, index, inner) = x (outer, axis, inner) at `index` along the middle axis; an index outside of it is a fault.
            #[name = stringify!($name)]
            #[max_threads = THREADS]
            pub fn $name(y: GlobalMut<$T>, x: Global<$T>, index: Global<i64>, axis: u64, inner: u64) {
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
        }
    )+ };
}
gathers! {
    u8 gather_u8;
    u16 gather_u16;
    u32 gather_u32;
    u64 gather_u64;
}

macro_rules! scatters {
    ($($T:ident $name:ident |$a:ident, $b:ident| $add:expr;)+) => { $(
        kernel! {
            /// y (outer, axis, inner) += x (outer, index, inner) at `index` along the middle axis. A thread adds up what falls on its
            /// element in ascending order of position, so the sum repeats bit for bit.
            #[name = stringify!($name)]
            #[max_threads = THREADS]
            pub fn $name(y: GlobalMut<$T>, x: Global<$T>, index: Global<i64>, axis: u64, inner: u64) {
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
                        let ($a, $b) = (sum, x.get((outer * index.len() + position) * inner + within));
                        sum = $add;
                    }
                }
                y.set(i, sum);
            }
        }
    )+ };
}
scatters! {
    f32 scatter_add_f32 |a, b| a + b;
    f64 scatter_add_f64 |a, b| a + b;
    i64 scatter_add_i64 |a, b| a.wrapping_add(b);
}
