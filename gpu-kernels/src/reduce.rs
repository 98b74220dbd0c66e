//! Reductions of rows, in an order that the shape alone fixes: the CPU's tree, so its bits.
//!
//! A row is cut into chunks of [`CHUNK`]; sixteen threads reduce a chunk. A row of several chunks takes
//! another launch over the chunks' results, by the same rule, until one is left.

use crate::lanes::{LANES, combine, lane};
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;

/// Elements whose lanes are combined before the next are begun.
pub const CHUNK: usize = 4096;

/// What a reduction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Fold {
    /// Σ x; 0 of nothing.
    Sum = 0,
    /// The largest; NaN wins. −∞ of nothing.
    Max = 1,
    /// The smallest; NaN wins. ∞ of nothing.
    Min = 2,
    /// Π x; 1 of nothing.
    Prod = 3,
}

/// The results that one launch makes of a row.
pub fn chunks(count: usize) -> usize {
    count.div_ceil(CHUNK).max(1)
}

macro_rules! folds {
    ($($T:ident $name:ident;)+) => { $(
        kernel! {
            /// Result j of row i of x (rows of `count`): its chunk j under `fold`, divided by `divisor` where `divide` is not 0.
            #[name = stringify!($name)]
            #[max_threads = THREADS]
            pub fn $name(y: GlobalMut<$T>, x: Global<$T>, count: u64, fold: u32, divide: u32, divisor: $T) {
                let result = element() / LANES;
                let chunks = chunks(count as usize);
                let start = result % chunks * CHUNK;
                let length = (count as usize - start).min(CHUNK);
                let first = result / chunks * count as usize + start;
                let combine_two = |a: $T, b: $T| match fold {
                    0 => a + b,
                    1 => Real::maximum(a, b),
                    2 => Real::minimum(a, b),
                    _ => a * b,
                };
                let mut value: $T = match fold {
                    0 => 0.0,
                    1 => $T::NEG_INFINITY,
                    2 => $T::INFINITY,
                    _ => 1.0,
                };
                // Threads beyond the last result go on to the shuffles, in which the whole warp takes part.
                if result < y.len() {
                    let mut i = lane();
                    while i < length {
                        value = combine_two(value, x.get(first + i));
                        i += LANES;
                    }
                }
                let value = combine!(value, combine_two);
                if result < y.len() && lane() == 0 {
                    y.set(result, if divide != 0 { value / divisor } else { value });
                }
            }
        }
    )+ };
}
folds! {
    f32 reduce_f32;
    f64 reduce_f64;
}

kernel! {
    /// The sum of each row of `count` integers; it wraps.
    #[name = "sum_i64"]
    #[max_threads = THREADS]
    pub fn sum_i64(y: GlobalMut<i64>, x: Global<i64>, count: u64) {
        let row = element();
        if row >= y.len() {
            return;
        }
        let mut sum = 0i64;
        for i in 0..count as usize {
            sum = sum.wrapping_add(x.get(row * count as usize + i));
        }
        y.set(row, sum);
    }
}
