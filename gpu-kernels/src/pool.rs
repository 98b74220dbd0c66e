//! Maxima of windows and at which taps they are, and their gradient.

use crate::place::{THREADS, element};
use crate::window::{Axes, Window, place, volume};
use cuda_std::*;

/// The outputs along an axis whose windows reach input position `d`: from the first on, and one after the last.
#[inline(always)]
fn reaching(window: &Window, axis: usize, d: u32, outputs: u32) -> [u32; 2] {
    let from = d + window.before[axis];
    let extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    let first = if from < extent { 0 } else { (from - extent) / window.stride[axis] + 1 };
    let end = from / window.stride[axis] + 1;
    [first, if end < outputs { end } else { outputs }]
}

/// The tap along an axis at which output `p` meets input position `d`, within reach; none where the dilation passes over it.
#[inline(always)]
fn tap_along(window: &Window, axis: usize, p: u32, d: u32) -> Option<u32> {
    let reach = d + window.before[axis] - p * window.stride[axis];
    let tap = reach / window.dilation[axis];
    (tap * window.dilation[axis] == reach).then_some(tap)
}

/// Whether the tap that is kept of an output has this number; of `count` outputs the lowest bytes come first.
#[inline(always)]
fn is_kept(taps: Global<u8>, count: usize, output: usize, tap: u32) -> bool {
    let (mut at, mut rest, mut same) = (output, tap, true);
    while at < taps.len() {
        same &= u32::from(taps.get(at)) == rest & 0xff;
        (at, rest) = (at + count, rest >> 8);
    }
    same
}

macro_rules! pools {
    ($($T:ident $pool:ident $gradient:ident;)+) => { $(
        kernel! {
            /// y (planes, p0, p1, p2) = the largest element of x (planes, d0, d1, d2) in each window, the first of equals or the last
            /// NaN, and, where they are asked for, `taps` (bytes, planes, p0, p1, p2) = the number of the tap that meets it. Kernel k,
            /// stride s, dilation e and padding b are the window's.
            #[allow(clippy::eq_op)] // the test for NaN
            #[name = stringify!($pool)]
            #[max_threads = THREADS]
            pub fn $pool(
                y: GlobalMut<$T>, taps: GlobalMut<u8>, x: Global<$T>,
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
                let (mut largest, mut at) = ($T::NEG_INFINITY, u32::MAX);
                for tap in 0..volume(window.kernel) {
                    if let Some(number) = window.met(position, place(tap, window.kernel), sizes) {
                        let candidate = x.get(plane + number as usize);
                        // A window of −∞ alone has a largest element too.
                        if candidate > largest || candidate != candidate || at == u32::MAX {
                            (largest, at) = (candidate, tap);
                        }
                    }
                }
                y.set(i, largest);
                let mut to = i;
                while to < taps.len() {
                    taps.set(to, (at & 0xff) as u8);
                    (to, at) = (to + y.len(), at >> 8);
                }
            }
        }

        kernel! {
            /// dx (planes, d0, d1, d2) = 0, plus dy (planes, p0, p1, p2) of the windows whose `taps` meet the element, in ascending
            /// order of position, so that the sum repeats bit for bit.
            #[name = stringify!($gradient)]
            #[max_threads = THREADS]
            pub fn $gradient(
                dx: GlobalMut<$T>, dy: Global<$T>, taps: Global<u8>,
                p0: u32, p1: u32, p2: u32, d0: u32, d1: u32, d2: u32,
                k0: u32, k1: u32, k2: u32, s0: u32, s1: u32, s2: u32, e0: u32, e1: u32, e2: u32, b0: u32, b1: u32, b2: u32
            ) {
                let window =
                    Window { kernel: [k0, k1, k2], stride: [s0, s1, s2], dilation: [e0, e1, e2], before: [b0, b1, b2] };
                let i = element();
                if i >= dx.len() {
                    return;
                }
                let (outputs, sizes): (Axes, Axes) = ([p0, p1, p2], [d0, d1, d2]);
                let inputs = volume(sizes) as usize;
                let [a, b, c] = place((i % inputs) as u32, sizes);
                let plane = i / inputs * volume(outputs) as usize;
                let (planes, rows, columns) = (
                    reaching(&window, 0, a, outputs[0]),
                    reaching(&window, 1, b, outputs[1]),
                    reaching(&window, 2, c, outputs[2]),
                );
                let mut sum = 0.0;
                for q0 in planes[0]..planes[1] {
                    let Some(t0) = tap_along(&window, 0, q0, a) else { continue };
                    for q1 in rows[0]..rows[1] {
                        let Some(t1) = tap_along(&window, 1, q1, b) else { continue };
                        for q2 in columns[0]..columns[1] {
                            let Some(t2) = tap_along(&window, 2, q2, c) else { continue };
                            let output = plane + ((q0 * p1 + q1) * p2 + q2) as usize;
                            if is_kept(taps, dy.len(), output, (t0 * k1 + t1) * k2 + t2) {
                                sum += dy.get(output);
                            }
                        }
                    }
                }
                dx.set(i, sum);
            }
        }
    )+ };
}
pools! {
    f32 max_pool_f32 max_pool_grad_f32;
    f64 max_pool_f64 max_pool_grad_f64;
}
