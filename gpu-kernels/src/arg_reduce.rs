//! Positions of extrema in rows: the first of equals; NaN wins.

use crate::number::Ordered;
use crate::place::{THREADS, element};
use cuda_std::*;

kernels! {
    /// The position of the largest element of each row of `count`, or the smallest where `smallest` is not 0.
    #[allow(clippy::eq_op)] // the test for NaN that integers have too
    #[max_threads = THREADS]
    pub fn arg_reduce<T: Ordered>(
        y: GlobalMut<i64>, x: Global<T>, count: u64, smallest: u32
    ) for [f32, f64, i64, i32, i8, u8] {
        let row = element();
        if row >= y.len() {
            return;
        }
        let first = row * count as usize;
        let (mut best, mut position) = (x.get(first), 0);
        for i in 1..count as usize {
            let candidate = x.get(first + i);
            let better = if smallest != 0 { candidate < best } else { candidate > best };
            if better || (candidate != candidate && best == best) {
                best = candidate;
                position = i;
            }
        }
        y.set(row, position as i64);
    }
}
