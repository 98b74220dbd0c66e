//! The kernel for GPUs, compiled to PTX and for the simulator.

use crate::LANES;
use cuda_std::*;
use kiln_math::Real;

/// Threads of a block: four rows.
pub const THREADS: u32 = 128;

kernels! {
    /// y = weight·(x + residual) / √(mean((x + residual)²) + ε) of each row. A warp computes a row.
    #[max_threads = THREADS]
    pub fn add_rms_norm(
        y: GlobalMut<f32>, x: Global<f32>, residual: Global<f32>, weight: Global<f32>, epsilon: f32
    ) {
        let width = weight.len();
        let row = (block_idx_x() as usize * block_dim_x() as usize + thread_idx_x() as usize) / LANES;
        let first = row * width;
        let present = first < y.len();
        let lane = lane_id() as usize;

        let mut sum = 0.0;
        let mut i = lane;
        while present && i < width {
            let v = x.get(first + i) + residual.get(first + i);
            sum += v * v;
            i += LANES;
        }
        // All threads of the warp come here, also those that have no row.
        let mut distance = LANES as u32 / 2;
        while distance > 0 {
            sum += warp_shuffle_xor(sum, distance);
            distance /= 2;
        }
        let scale = 1.0 / Real::sqrt(sum / width as f32 + epsilon);

        let mut i = lane;
        while present && i < width {
            let v = x.get(first + i) + residual.get(first + i);
            y.set(first + i, weight.get(i) * (v * scale));
            i += LANES;
        }
    }
}
