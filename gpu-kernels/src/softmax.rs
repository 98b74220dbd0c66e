//! Softmax, its logarithm and logsumexp along rows, and gradients of the first two. Sixteen threads a row, the CPU's tree.

use crate::lanes::{LANES, lane, of_row};
use crate::number::GpuFloat;
use crate::place::{THREADS, element};
use cuda_std::*;
use kiln_math::Real;

kernels! {
    /// y = exp(x − max) / Σ exp(x − max) of each row of `width`, or its logarithm where `log` is not 0.
    #[max_threads = THREADS]
    pub fn softmax<T: GpuFloat>(y: GlobalMut<T>, x: Global<T>, width: u32, log: u32) for [f32, f64] {
        let width = width as usize;
        let first = element() / LANES * width;
        let present = first < y.len();
        let max = of_row!(T::NEG_INFINITY, present, width, |i| x.get(first + i), |a: T, b: T| a.maximum(b));
        let sum = of_row!(T::ZERO, present, width, |i| Real::exp(x.get(first + i) - max), |a: T, b: T| a + b);
        let ln = if log != 0 { Real::ln(sum) } else { T::ZERO };
        let mut i = lane();
        while present && i < width {
            let shifted = x.get(first + i) - max;
            y.set(first + i, if log != 0 { shifted - ln } else { Real::exp(shifted) / sum });
            i += LANES;
        }
    }

    /// y = ln Σ exp(x) of each row of `width`; of an infinite maximum that.
    #[max_threads = THREADS]
    pub fn logsumexp<T: GpuFloat>(y: GlobalMut<T>, x: Global<T>, width: u32) for [f32, f64] {
        let (row, width) = (element() / LANES, width as usize);
        let present = row < y.len();
        let first = row * width;
        let max = of_row!(T::NEG_INFINITY, present, width, |i| x.get(first + i), |a: T, b: T| a.maximum(b));
        let sum = of_row!(T::ZERO, present, width, |i| Real::exp(x.get(first + i) - max), |a: T, b: T| a + b);
        if present && lane() == 0 {
            y.set(row, Real::abs(max).if_less(-T::NEG_INFINITY, max + Real::ln(sum), max));
        }
    }

    /// dx = y·(dy − Σ y·dy) of each row of `width`, or dy − exp(y)·Σ dy where y is the logarithm.
    #[max_threads = THREADS]
    pub fn softmax_grad<T: GpuFloat>(
        dx: GlobalMut<T>, y: Global<T>, dy: Global<T>, width: u32, log: u32
    ) for [f32, f64] {
        let width = width as usize;
        let first = element() / LANES * width;
        let present = first < dx.len();
        let term = |i: usize| if log != 0 { dy.get(i) } else { y.get(i) * dy.get(i) };
        let sum = of_row!(T::ZERO, present, width, |i| term(first + i), |a: T, b: T| a + b);
        let mut i = lane();
        while present && i < width {
            let (y, dy) = (y.get(first + i), dy.get(first + i));
            dx.set(first + i, if log != 0 { dy - Real::exp(y) * sum } else { y * (dy - sum) });
            i += LANES;
        }
    }
}
