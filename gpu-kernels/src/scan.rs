//! Cumulative operations along the middle axis of (outer, axis, inner), by the CPU's rule, so with its bits.
//!
//! The axis is cut into chunks of [`CHUNK`]. A thread accumulates a chunk of a column; the chunks' last results are accumulated by the
//! same rule, and each chunk but the first is combined with what comes before it.

use crate::number::{GpuFloat, Ordered};
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;

/// Elements along the axis that are accumulated one after the other.
pub const CHUNK: usize = 256;

/// What is accumulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Op {
    /// Σ x
    Sum = 0,
    /// Π x
    Prod = 1,
    /// ln Σ exp(x), of floats.
    LogSumExp = 2,
}

/// The chunks of an axis.
pub fn chunks(axis: usize) -> usize {
    axis.div_ceil(CHUNK)
}

/// A number that is accumulated.
pub trait Accumulated: DeviceCopy {
    /// a ∘ b
    fn accumulate(op: u32, a: Self, b: Self) -> Self;
}

macro_rules! of_float {
    ($($T:ident),+) => { $(impl Accumulated for $T {
        #[inline(always)]
        fn accumulate(op: u32, a: $T, b: $T) -> $T {
            match op {
                0 => a + b,
                1 => a * b,
                _ => {
                    let (high, low) = (Real::maximum(a, b), Real::minimum(a, b));
                    let sum = high + Real::ln_1p(Real::exp(low - high));
                    // An infinite maximum is the result, and infinity less itself is no number.
                    Real::abs(high).if_less($T::INFINITY, sum, high)
                }
            }
        }
    })+ };
}
of_float!(f32, f64);

impl Accumulated for i64 {
    #[inline(always)]
    fn accumulate(op: u32, a: i64, b: i64) -> i64 {
        if op == 0 { a.wrapping_add(b) } else { a.wrapping_mul(b) }
    }
}

kernels! {
    /// Each chunk by itself, and the last results (outer, chunks − 1, inner) of all but an axis's last one.
    #[max_threads = THREADS]
    pub fn scan_chunks<T: Accumulated>(
        y: GlobalMut<T>, last: GlobalMut<T>, x: Global<T>, axis: u64, inner: u64, op: u32
    ) for [f32, f64, i64] {
        let (i, axis, inner) = (element(), axis as usize, inner as usize);
        let chunks = chunks(axis);
        let (within, column) = (i % inner, i / inner);
        let (chunk, outer) = (column % chunks, column / chunks);
        if (outer * axis) * inner >= x.len() {
            return;
        }
        let (first, end) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(axis));
        let start = outer * axis * inner + within;
        let mut sum = x.get(start + first * inner);
        y.set(start + first * inner, sum);
        for row in first + 1..end {
            sum = T::accumulate(op, sum, x.get(start + row * inner));
            y.set(start + row * inner, sum);
        }
        if chunk + 1 < chunks {
            last.set((outer * (chunks - 1) + chunk) * inner + within, sum);
        }
    }

    /// Each chunk combined with what comes before it: `before` is (outer, chunks − 1, inner).
    #[max_threads = THREADS]
    pub fn scan_join<T: Accumulated>(
        y: GlobalMut<T>, before: Global<T>, axis: u64, inner: u64, op: u32
    ) for [f32, f64, i64] {
        let (i, axis, inner) = (element(), axis as usize, inner as usize);
        if i >= y.len() {
            return;
        }
        let (within, row) = (i % inner, i / inner);
        let (chunk, outer) = (row % axis / CHUNK, row / axis);
        if chunk > 0 {
            let before = before.get((outer * (chunks(axis) - 1) + chunk - 1) * inner + within);
            y.set(i, T::accumulate(op, before, y.get(i)));
        }
    }

    /// The largest element so far, or the smallest where `smallest` is not 0, and where it is: the last of equal ones; NaN wins. A
    /// thread for each column.
    #[allow(clippy::eq_op)] // the test for NaN that integers have too
    #[max_threads = THREADS]
    pub fn scan_extrema<T: Ordered>(
        values: GlobalMut<T>, positions: GlobalMut<i64>, x: Global<T>, axis: u64, inner: u64, smallest: u32
    ) for [f32, f64, i64, i32, i8, u8] {
        let (i, axis, inner) = (element(), axis as usize, inner as usize);
        let start = i / inner * axis * inner + i % inner;
        if start >= x.len() {
            return;
        }
        let (mut best, mut position) = (x.get(start), 0);
        for row in 0..axis {
            let at = start + row * inner;
            let candidate = x.get(at);
            let reaches = if smallest != 0 { candidate <= best } else { candidate >= best };
            if candidate != candidate || (best == best && reaches) {
                best = candidate;
                position = row;
            }
            values.set(at, best);
            positions.set(at, position as i64);
        }
    }

    /// y\[i\] = a\[i\]·y\[i − 1\] + b\[i\]; y\[0\] = b\[0\]. A thread for each column.
    #[max_threads = THREADS]
    pub fn linear_scan<T: GpuFloat>(
        y: GlobalMut<T>, a: Global<T>, b: Global<T>, axis: u64, inner: u64
    ) for [f32, f64] {
        let (i, axis, inner) = (element(), axis as usize, inner as usize);
        let start = i / inner * axis * inner + i % inner;
        if start >= y.len() {
            return;
        }
        let mut state = b.get(start);
        y.set(start, state);
        for row in 1..axis {
            let at = start + row * inner;
            state = Real::mul_add(a.get(at), state, b.get(at));
            y.set(at, state);
        }
    }
}
