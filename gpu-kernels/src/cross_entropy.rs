//! Softmax cross-entropy of rows of logits against labels, and its gradient. Sixteen threads a row, the CPU's tree.

use crate::lanes::{LANES, lane, of_row};
use crate::number::GpuFloat;
use crate::place::{THREADS, element, refuse};
use cuda_std::*;
use kiln_math::Real;

const OUTSIDE: &str = "a label is out of range";

kernels! {
    /// ln Σ exp(x) − x\[label\] of each row of `classes` logits; a label out of range is a fault.
    #[max_threads = THREADS]
    pub fn cross_entropy<T: GpuFloat>(
        y: GlobalMut<T>, logits: Global<T>, labels: Global<i64>, classes: u32
    ) for [f32, f64] {
        let (row, classes) = (element() / LANES, classes as usize);
        let present = row < y.len();
        let first = row * classes;
        let max = of_row!(T::NEG_INFINITY, present, classes, |i| logits.get(first + i), |a: T, b: T| a.maximum(b));
        let sum = of_row!(T::ZERO, present, classes, |i| Real::exp(logits.get(first + i) - max), |a: T, b: T| a + b);
        if present && lane() == 0 {
            let label = labels.get(row);
            if label < 0 || label >= classes as i64 {
                refuse(OUTSIDE);
            }
            y.set(row, Real::ln(sum) - (logits.get(first + label as usize) - max));
        }
    }

    /// dx = dy·(softmax(x) − 1 at the label), where dy (rows,) lies at a stride.
    #[max_threads = THREADS]
    pub fn cross_entropy_grad<T: GpuFloat>(
        dx: GlobalMut<T>, logits: Global<T>, labels: Global<i64>,
        dy: Global<T>, dy_start: i64, dy_step: i64, classes: u32
    ) for [f32, f64] {
        let (row, classes) = (element() / LANES, classes as usize);
        let first = row * classes;
        let present = first < dx.len();
        let max = of_row!(T::NEG_INFINITY, present, classes, |i| logits.get(first + i), |a: T, b: T| a.maximum(b));
        let sum = of_row!(T::ZERO, present, classes, |i| Real::exp(logits.get(first + i) - max), |a: T, b: T| a + b);
        if !present {
            return;
        }
        let label = labels.get(row);
        if label < 0 || label >= classes as i64 {
            refuse(OUTSIDE);
        }
        let dy = dy.get((dy_start + row as i64 * dy_step) as usize);
        let mut i = lane();
        while i < classes {
            let slope = dy * (Real::exp(logits.get(first + i) - max) / sum);
            dx.set(first + i, if i == label as usize { slope - dy } else { slope });
            i += LANES;
        }
    }
}
