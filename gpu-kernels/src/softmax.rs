//! Softmax and its logarithm along rows, and their gradients. Sixteen threads a row, the CPU's tree.

use crate::lanes::{LANES, lane, of_row};
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;

macro_rules! softmaxes {
    ($($T:ident $value:ident $gradient:ident;)+) => { $(
        kernel! {
            /// y = exp(x − max) / Σ exp(x − max) of each row of `width`, or its logarithm where `log` is not 0.
            #[name = stringify!($value)]
            #[max_threads = THREADS]
            pub fn $value(y: GlobalMut<$T>, x: Global<$T>, width: u32, log: u32) {
                let width = width as usize;
                let first = element() / LANES * width;
                let present = first < y.len();
                let max = of_row!($T::NEG_INFINITY, present, width, |i| x.get(first + i), |a: $T, b: $T| Real::maximum(a, b));
                let sum = of_row!(0.0, present, width, |i| Real::exp(x.get(first + i) - max), |a: $T, b: $T| a + b);
                let ln = if log != 0 { Real::ln(sum) } else { 0.0 };
                let mut i = lane();
                while present && i < width {
                    let shifted = x.get(first + i) - max;
                    y.set(first + i, if log != 0 { shifted - ln } else { Real::exp(shifted) / sum });
                    i += LANES;
                }
            }
        }

        kernel! {
            /// dx = y·(dy − Σ y·dy) of each row of `width`, or dy − exp(y)·Σ dy where y is the logarithm.
            #[name = stringify!($gradient)]
            #[max_threads = THREADS]
            pub fn $gradient(dx: GlobalMut<$T>, y: Global<$T>, dy: Global<$T>, width: u32, log: u32) {
                let width = width as usize;
                let first = element() / LANES * width;
                let present = first < dx.len();
                let term = |i: usize| if log != 0 { dy.get(i) } else { y.get(i) * dy.get(i) };
                let sum = of_row!(0.0, present, width, |i| term(first + i), |a: $T, b: $T| a + b);
                let mut i = lane();
                while present && i < width {
                    let (y, dy) = (y.get(first + i), dy.get(first + i));
                    dx.set(first + i, if log != 0 { dy - Real::exp(y) * sum } else { y * (dy - sum) });
                    i += LANES;
                }
            }
        }
    )+ };
}
softmaxes! {
    f32 softmax_f32 softmax_grad_f32;
    f64 softmax_f64 softmax_grad_f64;
}
