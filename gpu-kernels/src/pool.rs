//! Maxima of windows and where they are, and their gradient.

use crate::place::{THREADS, element, refuse};
use crate::window::{Window, place, volume};
use cuda_std::*;

/// Threads that share a plane of the gradient.
pub const PLANE_THREADS: u32 = 64;

macro_rules! pools {
    ($($T:ident $pool:ident $gradient:ident;)+) => { $(
        kernel! {
            /// y (planes, p0, p1, p2) = the largest element of x (planes, d0, d1, d2) in each window, the first of equals or the last
            /// NaN, and `index` = where in its plane that is. Kernel k, stride s, dilation e and padding b are the window's.
            #[allow(clippy::eq_op)] // the test for NaN
            #[name = stringify!($pool)]
            #[max_threads = THREADS]
            pub fn $pool(
                y: GlobalMut<$T>, index: GlobalMut<i64>, x: Global<$T>,
                p0: u32, p1: u32, p2: u32, d0: u32, d1: u32, d2: u32,
                k0: u32, k1: u32, k2: u32, s0: u32, s1: u32, s2: u32, e0: u32, e1: u32, e2: u32, b0: u32, b1: u32, b2: u32
            ) {
                let window =
                    Window { kernel: [k0, k1, k2], stride: [s0, s1, s2], dilation: [e0, e1, e2], before: [b0, b1, b2] };
                let i = element();
                if i >= y.len() {
                    return;
                }
                let (outputs, sizes) = ([p0, p1, p2], [d0, d1, d2]);
                let positions = volume(outputs) as usize;
                let position = place((i % positions) as u32, outputs);
                let plane = i / positions * volume(sizes) as usize;
                let (mut largest, mut at) = ($T::NEG_INFINITY, -1);
                for tap in 0..volume(window.kernel) {
                    if let Some(number) = window.met(position, place(tap, window.kernel), sizes) {
                        let candidate = x.get(plane + number as usize);
                        // A window of −∞ alone has a largest element too.
                        if candidate > largest || candidate != candidate || at < 0 {
                            (largest, at) = (candidate, i64::from(number));
                        }
                    }
                }
                y.set(i, largest);
                index.set(i, at);
            }
        }

        kernel! {
            /// dx (planes, plane) = 0, plus dy (planes, positions) at `index` within its plane. A block has a plane; each thread goes
            /// through all positions in ascending order and adds what falls on its own elements, so the sum repeats bit for bit.
            #[name = stringify!($gradient)]
            #[max_threads = PLANE_THREADS]
            pub fn $gradient(dx: GlobalMut<$T>, dy: Global<$T>, index: Global<i64>, plane: u64, positions: u64) {
                let (plane, positions) = (plane as usize, positions as usize);
                let (first, thread) = (block_idx_x() as usize * plane, thread_idx_x() as usize);
                let mut own = thread;
                while own < plane {
                    dx.set(first + own, 0.0);
                    own += PLANE_THREADS as usize;
                }
                for position in block_idx_x() as usize * positions..(block_idx_x() as usize + 1) * positions {
                    let at = index.get(position);
                    if at < 0 || at >= plane as i64 {
                        refuse("an index is outside of its plane");
                    }
                    let at = at as usize;
                    if at % PLANE_THREADS as usize == thread {
                        dx.set(first + at, dx.get(first + at) + dy.get(position));
                    }
                }
            }
        }
    )+ };
}
pools! {
    f32 max_pool_f32 max_pool_grad_f32;
    f64 max_pool_f64 max_pool_grad_f64;
}
