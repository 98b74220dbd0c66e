//! The matrix product: tiles of 16 × 16 in shared memory, one thread for each element of the output.
//!
//! Every element is one chain of fused multiply-adds in the order of k, as on the CPU: the bits are the same.

use cuda_std::*;
use kiln_math::Real;
use kiln_math::ops::{Relu, Unary};

/// Rows and columns of a tile.
pub const TILE: usize = 16;

/// Start from what the output holds instead of 0.
pub const ACCUMULATE: u32 = 1;
/// Add the bias.
pub const BIAS: u32 = 2;
/// max(x, 0) at last.
pub const RELU: u32 = 4;

/// The blocks of a product of m rows and n columns.
#[cfg(not(target_arch = "nvptx64"))]
pub fn geometry(m: usize, n: usize, element_bytes: usize) -> Geometry {
    let blocks = |size: usize| u32::try_from(size.div_ceil(TILE)).unwrap_or(u32::MAX);
    Geometry {
        // Rows, of which there may be more, go along x.
        grid: [blocks(m), blocks(n), 1],
        block: [TILE as u32, TILE as u32, 1],
        shared_bytes: (2 * TILE * TILE * element_bytes) as u32,
    }
}

macro_rules! products {
    ($($T:ident $name:ident;)+) => { $(
        kernel! {
            /// y (m, n) = epilogue(a (m, k) · b (k, n)): y row-major from `y_start` on; a and b at strides (of any sign; 0 repeats)
            /// from their starts; the bias (n,) at a stride; `flags` say what else is done.
            #[name = stringify!($name)]
            #[max_threads = (TILE * TILE) as u32]
            pub fn $name(
                y: GlobalMut<$T>, y_start: u64,
                a: Global<$T>, a_start: i64, a_row: i64, a_col: i64,
                b: Global<$T>, b_start: i64, b_row: i64, b_col: i64,
                bias: Global<$T>, bias_start: i64, bias_step: i64,
                m: u32, n: u32, k: u32, flags: u32
            ) {
                let (tx, ty) = (thread_idx_x() as usize, thread_idx_y() as usize);
                let row = block_idx_x() as usize * TILE + ty;
                let col = block_idx_y() as usize * TILE + tx;
                let (m, n, k) = (m as usize, n as usize, k as usize);
                let inside = row < m && col < n;
                let at = y_start as usize + row * n + col;
                let a_tile = Shared::<$T>::at(0, TILE * TILE);
                let b_tile = Shared::<$T>::at(TILE * TILE * size_of::<$T>(), TILE * TILE);
                let mut sum: $T = 0.0;
                if inside && flags & ACCUMULATE != 0 {
                    sum = y.get(at);
                }
                let mut done = 0;
                while done < k {
                    // Elements beyond the edges are loaded as 0 and never used.
                    let (p, q) = (done + tx, done + ty);
                    let a_value = if row < m && p < k {
                        a.get((a_start + row as i64 * a_row + p as i64 * a_col) as usize)
                    } else {
                        0.0
                    };
                    let b_value = if q < k && col < n {
                        b.get((b_start + q as i64 * b_row + col as i64 * b_col) as usize)
                    } else {
                        0.0
                    };
                    a_tile.set(ty * TILE + tx, a_value);
                    b_tile.set(ty * TILE + tx, b_value);
                    sync_threads();
                    for i in 0..TILE.min(k - done) {
                        sum = Real::mul_add(a_tile.get(ty * TILE + i), b_tile.get(i * TILE + tx), sum);
                    }
                    sync_threads();
                    done += TILE;
                }
                if !inside {
                    return;
                }
                if flags & BIAS != 0 {
                    sum += bias.get((bias_start + col as i64 * bias_step) as usize);
                }
                if flags & RELU != 0 {
                    sum = Relu::f(sum, [0.0; 2]);
                }
                y.set(at, sum);
            }
        }
    )+ };
}
products! {
    f32 matmul_f32;
    f64 matmul_f64;
}
