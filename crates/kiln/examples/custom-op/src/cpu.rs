//! The kernel for CPUs: whole rows, shared among threads.
#![forbid(unsafe_code)]

use crate::LANES;
use kiln::cpu::team;
use kiln::math::Real;
use std::sync::{Mutex, PoisonError};

/// Elements that are worth a task.
const TASK: usize = 16 << 10;

/// y = weight·(x + residual) / √(mean((x + residual)²) + ε) of each row.
pub(crate) fn add_rms_norm<T: Real + Send + Sync>(y: &mut [T], [x, residual]: [&[T]; 2], weight: &[T], epsilon: T) {
    let width = weight.len();
    if width == 0 {
        return;
    }
    let chunk = (TASK / width).max(1) * width;
    // Each chunk is one task's alone. The lock, which is always free, is what tells the compiler so.
    let chunks: Vec<Mutex<&mut [T]>> = y.chunks_mut(chunk).map(Mutex::new).collect();
    team::parallel(chunks.len(), |task| {
        let mut y = chunks[task].lock().unwrap_or_else(PoisonError::into_inner);
        let first = task * chunk;
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            let elements = first + row * width..first + (row + 1) * width;
            of_row(y, [&x[elements.clone()], &residual[elements]], weight, epsilon);
        }
    });
}

fn of_row<T: Real>(y: &mut [T], [x, residual]: [&[T]; 2], weight: &[T], epsilon: T) {
    for ((y, &x), &residual) in y.iter_mut().zip(x).zip(residual) {
        *y = x + residual;
    }
    let mean = sum_of_squares(y) / T::constant(y.len() as f64);
    let scale = T::constant(1.0) / (mean + epsilon).sqrt();
    for (y, &weight) in y.iter_mut().zip(weight) {
        *y = weight * (*y * scale);
    }
}

/// In the order of the GPU's kernel, so that both have the same bits.
fn sum_of_squares<T: Real>(values: &[T]) -> T {
    let mut sums = [T::constant(0.0); LANES];
    for values in values.chunks(LANES) {
        for (sum, &v) in sums.iter_mut().zip(values) {
            *sum = *sum + v * v;
        }
    }
    let mut distance = LANES / 2;
    while distance > 0 {
        for j in 0..distance {
            sums[j] = sums[j] + sums[j + distance];
        }
        distance /= 2;
    }
    sums[0]
}
